"""Boxes as images of their own: which part of the image, under which name, and where the background is taken from."""

import json
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra.utils import instantiate

from lightdet.cli.convert import run
from lightdet.config.compose import compose_config
from lightdet.core.annotation import Boxes, ClassLabel
from lightdet.core.errors import LightdetError
from lightdet.data.crops import Cropping, write_crops
from lightdet.data.image import read_values
from lightdet.data.record import Record
from lightdet.ops.crop import square_around

HEIGHT, WIDTH = 60, 100


@pytest.mark.parametrize(
    ("box", "margin", "least", "window"),
    [
        ((40, 20, 60, 30), 0.25, 1, (35, 10, 65, 40)),  # 20 px and 5 on either side
        ((40, 20, 60, 30), 0.0, 1, (40, 15, 60, 35)),
        ((40, 20, 44, 24), 0.25, 16, (34, 14, 50, 30)),
        ((0, 0, 20, 10), 0.25, 1, (0, 0, 30, 30)),  # moved inside
        ((80, 50, 100, 60), 0.25, 1, (70, 30, 100, 60)),
        ((10, 5, 90, 15), 0.25, 1, (0, 0, 100, 60)),  # larger than the image
        ((3.5, 3.5, 7.5, 7.5), 0.0, 1, (3, 3, 8, 8)),  # the whole box, and square
    ],
)
def test_a_crop_is_a_square_around_its_box(box: tuple, margin: float, least: int, window: tuple) -> None:
    assert square_around(box, HEIGHT, WIDTH, margin, least) == window


class Reader:
    """Two images for training and one for validation; every pixel says where it is."""

    classes = ("scratch", "dent")
    boxes = Boxes(
        np.array([[40, 20, 60, 30], [0, 40, 8, 48]], np.float32),
        np.array([1, 0]),
        np.array([[80, 0, 100, 20]], np.float32),
        np.array([0]),
    )

    def __init__(self, root: Path, deep: bool = False) -> None:
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        pixels = (rows * WIDTH + columns).astype(np.uint16) if deep else np.stack([rows, columns, rows * 0], 2)
        self.records = []
        for name in ("a.png", "lot/a.png", "b.png"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / name), pixels if deep else pixels[..., ::-1].astype(np.uint8))
            self.records.append(Record(name, root / name, self.boxes))

    def read(self) -> dict[str, list[Record]]:
        return {"train": self.records[:2], "val": self.records[2:]}


def entries(folder: Path) -> list[dict]:
    found: list[dict] = json.loads((folder / "crops.json").read_text())["crops"]
    return found


@pytest.mark.parametrize("deep", [False, True])
def test_each_box_is_an_image_that_leads_back(tmp_path: Path, deep: bool) -> None:
    done = write_crops(Reader(tmp_path / "data", deep), tmp_path / "new", Cropping(background=3))
    assert done.images == {"train": 10, "val": 5} and done.boxes == 6
    assert done.told == (f"left out: 3 crowd regions, which show several objects, e.g. {tmp_path}/data/a.png",)
    for crop in entries(tmp_path / "new"):
        left, top, right, bottom = crop["crop_xyxy"]
        whole = read_values(tmp_path / "data" / crop["image"])
        assert np.array_equal(read_values(tmp_path / "new" / crop["file"]), whole[top:bottom, left:right])
    first = next(crop for crop in entries(tmp_path / "new") if crop["image"] == "lot/a.png")
    assert first == {
        "file": "train/dent/lot__a__0.png",
        "image": "lot/a.png",
        "box": 0,
        "box_xyxy": [40, 20, 60, 30],
        "crop_xyxy": [35, 10, 65, 40],
    }
    config = compose_config(shlex.split(done.words))
    reader = instantiate(config.data.reader)
    records = reader.read()
    assert reader.classes == ("scratch", "dent", "good")
    assert {record.image_id: record.annotation for record in records["val"]} == {
        "val/scratch/b__1.png": ClassLabel(0),
        "val/dent/b__0.png": ClassLabel(1),
        **{f"val/good/b__good{number}.png": ClassLabel(2) for number in range(3)},
    }


def test_the_background_touches_no_box_and_is_as_large_as_the_crops(tmp_path: Path) -> None:
    write_crops(Reader(tmp_path / "data"), tmp_path / "one", Cropping(background=9))
    write_crops(Reader(tmp_path / "data"), tmp_path / "two", Cropping(background=9))
    write_crops(Reader(tmp_path / "data"), tmp_path / "three", Cropping(background=9, seed=1))
    free = [crop["crop_xyxy"] for crop in entries(tmp_path / "one") if "box" not in crop]
    assert len(free) == 27 and {right - left for left, _, right, _ in free} <= {30, 16}
    for x1, y1, x2, y2 in [*Reader.boxes.xyxy.tolist(), *Reader.boxes.crowd_xyxy.tolist()]:
        assert not any(left < x2 and x1 < right and top < y2 and y1 < bottom for left, top, right, bottom in free)
    assert entries(tmp_path / "one") == entries(tmp_path / "two") != entries(tmp_path / "three")


def test_an_image_without_room_gives_no_background_and_is_told(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "data")
    full = Boxes(np.array([[0, 0, WIDTH, HEIGHT]], np.float32), np.array([0]))
    reader.records[0] = Record("a.png", tmp_path / "data/a.png", full)
    done = write_crops(reader, tmp_path / "new", Cropping(background=2))
    assert done.told[-1] == (
        f"left out: 2 background crops, of images without enough room between their boxes, e.g. {tmp_path}/data/a.png"
    )


@pytest.mark.parametrize(
    ("classes", "how", "said"),
    [
        (("a/b", "dent"), Cropping(), "class 'a/b': no folder can have this name"),
        (("train", "dent"), Cropping(), "class 'train': no folder can have this name"),
        (("good", "dent"), Cropping(background=1), "background=1: the dataset has a class 'good' of its own"),
        (("x", "dent"), Cropping(margin=-1), "margin=-1: give a number from 0 to 1"),
        (("x", "dent"), Cropping(least=0), "least=0: give a whole number, 1 or more"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, classes: tuple, how: Cropping, said: str) -> None:
    reader = Reader(tmp_path / "data")
    reader.classes = classes
    with pytest.raises(LightdetError, match=said):
        write_crops(reader, tmp_path / "new", how)
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "nothing is left behind"


def test_the_command_refuses_what_another_form_reads(tmp_path: Path) -> None:
    with pytest.raises(LightdetError, match="margin=1: nothing reads it with to=coco"):
        run(["to=coco", "margin=1", f"out={tmp_path / 'new'}"])
    with pytest.raises(LightdetError, match="images=link: nothing reads it with to=crops"):
        run(["to=crops", "images=link", f"out={tmp_path / 'new'}"])
    with pytest.raises(LightdetError, match=r"data\.per_class=2: every image is written"):
        run(["to=crops", "data=synthetic", "data.per_class=2", f"out={tmp_path / 'new'}"])
    with pytest.raises(LightdetError, match="least=many: give a number"):
        run(["to=crops", "least=many", f"out={tmp_path / 'new'}"])
