"""`lightdet convert`: what is written is read back equal, nothing is overwritten, and nothing is lost silently."""

import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from tiny_datasets import BOX, CLASSES, STEMS, TRAIN, VAL, WRITERS, voc_object, voc_xml, write_photo, write_voc
from tool_datasets import build

import lightdet.cli.main as cli
from lightdet.config.compose import compose_config
from lightdet.core.annotation import Boxes, ClassLabel
from lightdet.core.errors import LightdetError
from lightdet.data.convert import FORMATS, convert
from lightdet.data.record import Record
from lightdet.data.writer.names import new_names


class InMemory:
    """A reader of given records."""

    def __init__(self, splits: dict[str, list[Record]], classes: tuple[str, ...] = CLASSES) -> None:
        self.classes = classes
        self._splits = splits

    def read(self) -> dict[str, list[Record]]:
        return self._splits


def record(path: Path, image_id: str, annotation: object = None, **more: object) -> Record:
    write_photo(path / image_id)
    boxes = annotation or Boxes(np.array([BOX], np.float32), np.array([0]))
    return Record(image_id=image_id, path=path / image_id, annotation=boxes, **more)  # type: ignore[arg-type]


def read_by(words: str) -> dict[str, list[Record]]:
    """The records that a printed command reads."""
    config = compose_config(shlex.split(words))
    return instantiate(config.data.reader).read()


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_becomes_every_format(layout: str, to: str, tmp_path: Path) -> None:
    reader = build(WRITERS[layout](tmp_path / "data"))
    done = convert(reader, to, tmp_path / "new, (1)")
    assert done.images == {"train": len(TRAIN), "val": len(VAL)} and done.boxes == len(STEMS)
    before, after = reader.read(), read_by(done.words)
    for split in ("train", "val"):
        assert [one.path.name for one in after[split]] == [one.path.name for one in before[split]]
        for old, new in zip(before[split], after[split], strict=True):
            assert new.boxes_xyxy.tolist() == old.boxes_xyxy.tolist() and new.labels.tolist() == old.labels.tolist()
            assert new.path.read_bytes() == old.path.read_bytes()


def test_the_command_writes_and_prints_how_it_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_voc(tmp_path / "data")
    words = [f"data.reader.root={tmp_path}/data", "data.reader.images=IMAGES", "data.reader.annotations=ANNOTATIONS"]
    words += ["data=voc", "data.reader.classes=[scratch,dent]", "to=coco", f"out={tmp_path}/new"]
    assert cli.main(["convert", *words]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2].endswith("images with 6 boxes, as coco") and shown[-1].startswith("lightdet train data=coco ")
    assert len(read_by(shown[-1].removeprefix("lightdet train "))["train"]) == 4
    assert cli.main(["convert", *words]) == cli.BAD_INPUT
    assert capsys.readouterr().err.endswith("new: there is something already; give a new folder\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "new"]


SLIPS = {
    "to=coco": "no value for out",
    "out=new": "no value for to",
    "to=csv out=new": "to=csv: one of coco, yolo, voc, labelme, datumaro",
    "to=coco out=new images=move": "images=move: one of copy, link",
    "to=coco out=data/new": "inside the dataset itself",
    "to=coco out=new data.reader.root=nowhere": "data.reader.root=nowhere: no such folder",
}


@pytest.mark.parametrize("words", SLIPS)
def test_a_slip_is_one_line_and_writes_nothing(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_voc(tmp_path / "data")
    of_data = ["data=neu_det", "data.reader.root=data", "data.reader.classes=[scratch,dent]"]
    assert cli.main(["convert", *of_data, *words.split()]) == cli.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert SLIPS[words] in line and [path.name for path in tmp_path.iterdir()] == ["data"]


def test_names_are_kept_as_far_as_no_two_become_equal() -> None:
    ids = ["x/a.png", "x/b.png", "y/b.png", "z/A.jpg", "y/c.bmp", "y/c.png", "w/.hidden.png", "v/#1 : 2.png"]
    names = new_names(ids)
    assert names["x/b.png"] == "x__b.png" and names["y/b.png"] == "y__b.png"
    assert names["w/.hidden.png"] == "_hidden.png" and names["v/#1 : 2.png"] == "_1 _ 2.png"
    stems = [Path(name).stem.casefold() for name in names.values()]
    assert len(set(stems)) == len(ids) and names == new_names(reversed(ids))
    long = new_names([f"{'n' * 200}{end}.png" for end in "ab"])
    assert len(set(long.values())) == 2 and max(map(len, long.values())) < 200


def test_what_is_not_carried_is_counted(tmp_path: Path) -> None:
    crowd = Boxes(np.array([BOX], np.float32), np.array([1]), np.array([[1, 1, 9, 9]], np.float32), np.array([0]))
    reference = record(tmp_path, "t.png").path
    splits = {
        "train": [record(tmp_path, "a.png", crowd, reference=reference), record(tmp_path, "c/b.png", ClassLabel(0))],
        "val": [record(tmp_path, "x/v.png", domain="line 3"), record(tmp_path, "y/v.png")],
    }
    yolo = convert(InMemory(splits), "yolo", tmp_path / "yolo")
    assert [line.partition(", e.g.")[0] for line in yolo.told] == [
        "2 images have a new name, because another image has the old one or it is unsafe: x/v.png is x__v.png",
        "left out: 1 images with a class label in place of boxes",
        "left out: 1 crowd regions, which yolo does not have",
        "left out: 1 reference images",
        "left out: 1 domains of images",
    ]
    assert yolo.images == {"train": 1, "val": 2}
    for to in ("coco", "datumaro"):
        assert not any("does not have" in line for line in convert(InMemory(splits), to, tmp_path / to).told)
    with pytest.raises(LightdetError, match="no image of the train split has boxes"):
        convert(InMemory({**splits, "train": splits["train"][1:]}), "coco", tmp_path / "none")


@pytest.mark.parametrize("to", FORMATS)
def test_names_of_classes_and_thin_boxes_survive(to: str, tmp_path: Path) -> None:
    classes = ("b&w <1>", "打痕", 'say "no"', "null", "1", "a: [b], {c}")
    thin = np.array([[0, 0, 32, 24], [0.1, 1 / 3, 0.2, 23.999998], [31.999998, 5, 32, 6]], np.float32)
    splits = {
        "train": [record(tmp_path, "a.png", Boxes(thin, np.array([0, 3, 5])))],
        "val": [record(tmp_path, "b.png", Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64)))],
    }
    done = convert(InMemory(splits, classes), to, tmp_path / "new")
    config = compose_config(shlex.split(done.words))
    reader = instantiate(config.data.reader)
    assert tuple(reader.classes) == classes
    (back,) = reader.read()["train"]
    assert back.boxes_xyxy.tolist() == thin.tolist() and back.labels.tolist() == [0, 3, 5]


def test_images_can_be_linked(tmp_path: Path) -> None:
    reader = build(write_voc(tmp_path / "data"))
    convert(reader, "yolo", tmp_path / "new", "link")
    for stem in TRAIN:
        assert os.path.samefile(tmp_path / "new/images/train" / f"{stem}.png", tmp_path / "data/IMAGES" / f"{stem}.png")


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = build(write_voc(tmp_path / "data"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lightdet.data.convert.shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        convert(reader, "coco", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_copy_that_reads_differently_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = build(write_voc(tmp_path / "data"))
    (tmp_path / "data" / "ANNOTATIONS" / "a.xml").write_text(voc_xml(voc_object(box=(1, 1, 9, 9))))
    monkeypatch.setattr("lightdet.data.writer.yolo.repr", lambda value: f"{value:.2f}", raising=False)
    with pytest.raises(LightdetError, match="not read back as it was written; nothing was kept"):
        convert(reader, "yolo", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
