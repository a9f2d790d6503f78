"""`data.group`: images of one part, lot or camera stay on one side of a split, and are told where they do not."""

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from tiny_datasets import CLASSES, STEMS, Settings, voc_object, voc_xml, write_photo, write_voc

from lightdet.config.compose import compose_config
from lightdet.config.settings import check_settings
from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.groups import group_names, read_splits
from lightdet.data.record import Record
from lightdet.data.split import split
from lightdet.doctor.examine import examine, quick_check

LOT = r"^(lot\d+)_"


def lot(record: Record) -> str:
    return record.image_id.partition("_")[0]


def lots_of(sizes: list[int], classes: int) -> list[Record]:
    """A record with one box for each image of each lot; the classes take turns."""
    names = [f"lot{lot}_{image}.png" for lot, size in enumerate(sizes) for image in range(size)]
    return [
        Record(name, Path(name), Boxes(np.zeros((1, 4), np.float32), np.array([number % classes])))
        for number, name in enumerate(names)
    ]


def write_lots(root: Path, lists: bool) -> Settings:
    """VOC with two images of each of six lots; with `lists` the first image of each lot is for training."""
    settings = write_voc(root)
    for name in ("train.txt", "val.txt"):
        (root / name).unlink()
    for stem in STEMS:
        (root / "IMAGES" / f"{stem}.png").unlink()
        (root / "ANNOTATIONS" / f"{stem}.xml").unlink()
    names = [f"lot{number}_{side}" for number in range(6) for side in ("left", "right")]
    for seed, name in enumerate(names):
        write_photo(root / "IMAGES" / f"{name}.png", seed)
        (root / "ANNOTATIONS" / f"{name}.xml").write_text(voc_xml(voc_object(CLASSES[seed // 2 % 2])))
    if lists:
        (root / "train.txt").write_text("\n".join(names[::2]))
        (root / "val.txt").write_text("\n".join(names[1::2]))
    return settings


def test_groups_stay_whole_and_classes_keep_their_share() -> None:
    records = lots_of([3, 7, 5, 4, 6] * 8, classes=3)
    train, val = split(records, 0.2, 0, 3, lot)
    assert len(train) + len(val) == len(records) and not {*map(lot, train)} & {*map(lot, val)}
    shares = [np.mean([label in r.labels for r in val]) for label in range(3)]
    assert 0.17 < len(val) / len(records) < 0.25 and max(shares) - min(shares) < 0.06
    again = split(records[::-1], 0.2, 0, 3, lot)
    assert [[r.image_id for r in side] for side in again] == [[r.image_id for r in side] for side in (train, val)]
    assert {*map(lot, split(records, 0.2, 1, 3, lot)[1])} != {*map(lot, val)}


@pytest.mark.parametrize("sizes", [[50, 50], [1, 99], [30, 30, 30], [2, 2]])
def test_large_groups_leave_neither_side_empty(sizes: list[int]) -> None:
    for share in (0.01, 0.2, 0.9):
        train, val = split(lots_of(sizes, 2), share, 0, 2, lot)
        assert train and val


def test_groups_of_one_image_are_the_split_without_groups() -> None:
    records = lots_of([1] * 50, classes=4)
    assert [*map(lot, split(records, 0.3, 5, 4)[1])] == [*map(lot, split(records, 0.3, 5, 4, lambda r: r.image_id)[1])]


def test_a_split_that_lightdet_draws_keeps_the_groups(tmp_path: Path) -> None:
    reader = instantiate(write_lots(tmp_path, lists=False))
    drawn = {name: [r.image_id for r in records] for name, records in reader.read().items()}
    assert {name: [r.image_id for r in records] for name, records in read_splits(reader).items()} == drawn
    assert {name.partition("_")[0] for name in drawn["train"]} & {name.partition("_")[0] for name in drawn["val"]}
    examination = examine(reader, 64, group=LOT)
    sides = [{lot(record) for record in examination.splits[name]} for name in ("train", "val")]
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    assert sorted(len(records) for records in examination.splits.values()) == [4, 8]
    assert [finding.topic for finding in examination.findings] == []


def test_a_group_in_two_splits_of_the_dataset_is_a_leak(tmp_path: Path) -> None:
    reader = instantiate(write_lots(tmp_path, lists=True))
    (finding,) = examine(reader, 64, group=LOT).findings
    assert (finding.level, finding.topic, len(finding.images)) == ("warning", "leak", 12)
    assert finding.message.startswith("6 groups of data.group in two splits, lot0, lot1, lot2 and 3 more")
    assert "lot0: IMAGES/lot0_left.png in 'train', IMAGES/lot0_right.png in 'val'" in finding.message
    splits = read_splits(reader, group=LOT)
    assert quick_check(splits, CLASSES, 64, group=LOT) == [f"leak: {finding.message}"]
    assert quick_check(splits, CLASSES, 64) == [] and examine(reader, 64).findings == ()


def test_what_brackets_capture_names_the_group() -> None:
    records = {"train": lots_of([2, 2], 1)}
    assert group_names(records, r"^(lot\d+)_")["lot1_0.png"] == "lot1"
    assert group_names(records, r"lot\d+")["lot1_0.png"] == "lot1"
    assert group_names(records, r"^(lot)(\d+)_")["lot1_0.png"] == "lot 1"
    assert group_names(records, r"^(lot0)_|(.+)")["lot1_1.png"] == "lot1_1.png"


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ("(lot", "not a regular expression (missing ), unterminated subpattern at position 0); correct it"),
        (r"^batch(\d+)", "not found in any image name, e.g. lot0_0.png; correct the expression"),
        ("lot[02]", "not found in 2 of 6 image names, e.g. lot1_0.png; correct the expression, or end it with |(.+)"),
        ("lot", "all 6 images are in one group, 'lot'; capture in brackets what differs"),
    ],
)
def test_an_expression_that_gives_no_groups_is_one_line(group: str, told: str) -> None:
    with pytest.raises(LightdetError) as caught:
        group_names({"train": lots_of([2, 2], 1), "val": lots_of([0, 0, 2], 1)}, group)
    assert str(caught.value).startswith(f"data.group={group}: {told}") and "\n" not in str(caught.value)


def test_a_group_that_is_no_expression_is_refused_before_anything_is_built() -> None:
    with pytest.raises(LightdetError, match=r"data\.group=\(lot: not a regular expression"):
        check_settings(compose_config(["data.group='(lot'"]))
    with pytest.raises(LightdetError, match=r"data\.group=3: not a regular expression"):
        check_settings(compose_config(["data.group=3"]))
    check_settings(compose_config([r"data.group='^(lot\d+)_'"]))
