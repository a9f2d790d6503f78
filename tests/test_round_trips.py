"""Properties of drawn datasets: what is written is read back equal. LIGHTDET_ROUND_TRIPS=200 draws so many of them."""

import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from generated import Dataset, Generated, cvat_text, datasets, names, studio_text
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from lightdet.config.data_command import data_command
from lightdet.core.annotation import Boxes
from lightdet.data.convert import FORMATS, convert
from lightdet.data.reader_of import option_reader
from lightdet.data.record import Record
from lightdet.data.writer.names import new_names

DRAWN = int(os.environ.get("LIGHTDET_ROUND_TRIPS", "6"))
quick = settings(
    max_examples=DRAWN,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate,),  # a smaller example is not worth minutes
    suppress_health_check=list(HealthCheck),
)
many = settings(quick, max_examples=50)
CARRY_CROWD = ("coco", "datumaro")
Check = Callable[[np.ndarray, np.ndarray], bool]


def same_digits(before: np.ndarray, after: np.ndarray) -> bool:
    return np.array_equal(before, after)


def to_the_last_digit(before: np.ndarray, after: np.ndarray) -> bool:
    """Equal but for the last digit that float32 has at the size of the image: shares and percents are rounded."""
    return before.shape == after.shape and bool((np.abs(before - after) <= np.spacing(np.float32(48))).all())


def by_name(records: list[Record], rename: dict[str, str] | None = None) -> dict[str, Record]:
    return {rename[one.image_id] if rename else one.path.name: one for one in records}


def demand_equal(before: dict[str, Record], after: dict[str, Record], boxes_equal: Check, crowd: bool) -> None:
    assert before.keys() == after.keys()
    for name, old in before.items():
        was, is_now = old.annotation, after[name].annotation
        assert isinstance(was, Boxes) and isinstance(is_now, Boxes)
        assert boxes_equal(was.xyxy, is_now.xyxy) and was.labels.tolist() == is_now.labels.tolist()
        if crowd:
            assert boxes_equal(was.crowd_xyxy, is_now.crowd_xyxy)
            assert was.crowd_labels.tolist() == is_now.crowd_labels.tolist()
        assert old.path.read_bytes() == after[name].path.read_bytes()


@pytest.mark.parametrize("to", FORMATS)
@given(datasets())
@quick
def test_what_is_written_is_read_back(to: str, dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reader = Generated(dataset, Path(folder) / "old")
        done = convert(reader, to, Path(folder) / "new")
        back = option_reader(to, {"root": f"{folder}/new", **done.settings})
        before, after = reader.read(), back.read()
        rename = new_names({record.image_id for some in before.values() for record in some})
        assert tuple(back.classes) == tuple(reader.classes) and before.keys() == after.keys()
        for split, records in before.items():
            check = to_the_last_digit if to == "yolo" else same_digits
            demand_equal(by_name(records, rename), by_name(after[split]), check, to in CARRY_CROWD)


@given(datasets())
@quick
def test_cvat_is_read_with_every_digit(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reader = Generated(dataset, Path(folder) / "images")
        (Path(folder) / "annotations.xml").write_text(cvat_text(dataset), encoding="utf-8")
        back = option_reader("cvat", {"root": folder, "classes": list(dataset[0])})
        before, after = reader.read(), back.read()
        assert tuple(back.classes) == reader.classes and before.keys() == after.keys()
        for split, records in before.items():
            ids = {f"images/{one.image_id}": one for one in records}
            demand_equal(ids, {one.image_id: one for one in after[split]}, same_digits, crowd=False)


@given(datasets())
@quick
def test_label_studio_is_read_to_the_last_digit(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reader = Generated(dataset, Path(folder) / "images")
        (Path(folder) / "tasks.json").write_text(studio_text(dataset), encoding="utf-8")
        back = option_reader("label_studio", {"root": folder, "classes": list(dataset[0])})
        before = {f"images/{one.image_id}": one for some in reader.read().values() for one in some}
        after = {one.image_id: one for some in back.read().values() for one in some}
        demand_equal(before, after, to_the_last_digit, crowd=False)


@given(st.lists(st.text("aA./é_ #@", min_size=1, max_size=6).map(lambda text: f"{text.strip('/')}.png"), unique=True))
@many
def test_new_names_are_different_in_every_case_and_without_suffix(image_ids: list[str]) -> None:
    renamed = new_names(image_ids)
    stems = [Path(name).stem.casefold() for name in renamed.values()]
    assert len(set(stems)) == len(image_ids) == len(renamed)
    assert not any(name.startswith((".", "@", "#")) or "/" in name for name in renamed.values())


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20), st.lists(names, min_size=1))
@many
def test_printed_words_mean_what_was_meant(path: str, classes: list[str]) -> None:
    assume("${" not in path)
    printed = data_command("voc", {"root": path, "classes": classes, "val_list": None})
    words = [OverridesParser.create().parse_override(word) for word in shlex.split(printed)]
    assert [word.key_or_group for word in words] == [
        "data",
        "data.reader.root",
        "data.reader.classes",
        "data.reader.val_list",
    ]
    root, given_classes, val_list = (word.value() for word in words[1:])
    assert getattr(root, "text", root) == path and val_list is None
    assert [getattr(name, "text", name) for name in given_classes] == classes


@pytest.mark.slow  # reads, copies and reads again up to 1,440 images
@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("dataset", ["neu_det", "deep_pcb"])
def test_the_real_datasets_come_back_with_the_same_boxes(
    dataset: str, to: str, real_data: Path, tmp_path: Path
) -> None:
    reader = option_reader(dataset, {"root": str(real_data / dataset.replace("_", "-"))})
    done = convert(reader, to, tmp_path / "new")
    before, after = reader.read(), option_reader(to, {"root": str(tmp_path / "new"), **done.settings}).read()
    assert before.keys() == after.keys() and done.told == ()
    for split, records in before.items():
        demand_equal(by_name(records), by_name(after[split]), same_digits, crowd=True)
