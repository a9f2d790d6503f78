"""A class for each image: from folders, or from boxes by a rule."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightdet.core.annotation import Boxes, ClassLabel, Mask
from lightdet.core.errors import LightdetError
from lightdet.data.image_labels import require_parts, with_image_labels
from lightdet.data.reader.folder import Folder
from lightdet.data.record import Record

CLASSES = ("scratch", "dent", "spot")


def boxed(name: str, *boxes: tuple[int, float]) -> Record:
    """Squares of a label and a side."""
    corners = np.array([[0, 0, side, side] for _, side in boxes], np.float32).reshape(-1, 4)
    return Record(name, Path(name), Boxes(corners, np.array([label for label, _ in boxes], np.int64)))


SEVERAL = boxed("a.png", (2, 5), (1, 9), (0, 3), (0, 4))


@pytest.mark.parametrize(("rule", "label"), [("first", 2), ("largest", 1), ("majority", 0)])
def test_an_image_gets_the_class_that_the_rule_names(rule: str, label: int) -> None:
    splits, names = with_image_labels({"train": [SEVERAL], "val": [SEVERAL]}, CLASSES, rule)
    assert names == CLASSES
    assert splits["train"][0].annotation == splits["val"][0].annotation == ClassLabel(label)


def test_images_without_a_box_are_good() -> None:
    splits = {"train": [boxed("a.png", (1, 2)), boxed("b.png")], "val": [boxed("c.png")]}
    labelled, names = with_image_labels(splits, CLASSES, "first")
    assert names == (*CLASSES, "good")
    assert [record.annotation for record in labelled["train"]] == [ClassLabel(1), ClassLabel(3)]
    assert labelled["val"][0].annotation == ClassLabel(3)
    either, names = with_image_labels(splits, CLASSES, "any_defect")
    assert names == ("good", "defect")
    assert [record.annotation for record in either["train"]] == [ClassLabel(1), ClassLabel(0)]


def test_a_crowd_region_is_a_defect() -> None:
    region = Boxes(np.zeros((0, 4)), np.zeros(0, np.int64), np.array([[0, 0, 9, 9]], np.float32), np.array([2]))
    crowd = Record("a.png", Path("a.png"), region)
    labelled, _ = with_image_labels({"train": [crowd, boxed("b.png")]}, CLASSES, "first")
    assert labelled["train"][0].annotation == ClassLabel(2)


def test_a_class_that_is_there_already_stays() -> None:
    labelled = Record("a.png", Path("a.png"), ClassLabel(2))
    splits, names = with_image_labels({"train": [labelled]}, CLASSES, "largest")
    assert splits["train"] == [labelled] and names == CLASSES
    with pytest.raises(LightdetError, match="augment=window shows a part"):
        require_parts([labelled])


@pytest.mark.parametrize(
    ("splits", "classes", "rule", "said"),
    [
        ({"train": [SEVERAL]}, CLASSES, "last", "data.label=last: one of first, largest, majority, any_defect"),
        ({"train": [SEVERAL], "val": [boxed("b.png")]}, CLASSES, "first", "b.png: an image without an object in 'val'"),
        ({"train": [boxed("b.png")]}, ("good", "dent"), "first", "a class 'good' and images without any object"),
        ({"train": [Record("m", Path("m"), Mask(Path("m"), (0,)))]}, CLASSES, "largest", "take first"),
    ],
)
def test_what_cannot_be_labelled_is_refused(splits: dict, classes: tuple, rule: str, said: str) -> None:
    with pytest.raises(LightdetError, match=said):
        with_image_labels(splits, classes, rule)


def paint(path: Path, level: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), level).save(path)


def test_folders_name_the_classes(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("valid", 1), ("test", 2)):
        for name in ("good", "dent"):
            for number in range(count):
                paint(tmp_path / split / name / "lot 1" / f"{number}.png")
    paint(tmp_path / "train/good/.thumbs/x.png")
    paint(tmp_path / "train/lost.png")
    (tmp_path / "train/good/notes.txt").write_text("-")
    reader = Folder(str(tmp_path))
    splits = reader.read()
    assert reader.classes == ("dent", "good")
    assert {name: len(records) for name, records in splits.items()} == {"train": 6, "val": 2, "test": 4}
    assert splits["val"][1].image_id == "valid/good/lot 1/0.png" and splits["val"][1].annotation == ClassLabel(1)
    assert sorted(reader.doubts) == [
        f"left out: 1 files that are no images, e.g. {tmp_path}/train/good/notes.txt",
        f"left out: 1 hidden files and those in hidden folders, e.g. {tmp_path}/train/good/.thumbs/x.png",
        f"left out: 1 images that lie in no class's folder, e.g. {tmp_path}/train/lost.png",
    ]


def test_without_splits_every_class_has_its_share(tmp_path: Path) -> None:
    for name, count in (("good", 10), ("dent", 5)):
        for number in range(count):
            paint(tmp_path / name / f"{number}.png", number)
    splits = Folder(str(tmp_path), classes=["good", "dent"]).read()
    labels = {name: [record.labels[0] for record in records] for name, records in splits.items()}
    assert np.bincount(labels["val"]).tolist() == [2, 1] and np.bincount(labels["train"]).tolist() == [8, 4]


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_without_a_folder_of_training_images_is_refused(tmp_path: Path, split: str) -> None:
    for name in (split, "good", "dent"):
        paint(tmp_path / name / "a.png")
    with pytest.raises(LightdetError, match=f"/{split}: a folder of a split without a folder train"):
        Folder(str(tmp_path))


def test_inside_of_a_split_a_class_may_have_the_name_of_one(tmp_path: Path) -> None:
    for place in ("train/good", "train/test", "val/good", "val/test"):
        paint(tmp_path / place / "a.png")
    reader = Folder(str(tmp_path))
    assert reader.classes == ("good", "test")
    assert {name: [record.labels.item() for record in some] for name, some in reader.read().items()} == {
        "train": [0, 1],
        "val": [0, 1],
    }


def test_folders_that_give_no_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LightdetError, match="no folder of a class"):
        Folder(str(tmp_path))
    paint(tmp_path / "dent/a.png")
    with pytest.raises(LightdetError, match="the folder 'dent' is none of"):
        Folder(str(tmp_path), classes=["good"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "train").mkdir()
    with pytest.raises(LightdetError, match="no folder of a class"):
        Folder(str(tmp_path))
