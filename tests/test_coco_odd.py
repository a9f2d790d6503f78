"""COCO files as tools and scripts write them: crowds, odd ids and sizes, NaN, turned images, a root category."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image
from tiny_datasets import BOX, CLASSES, TRAIN, Settings, coco_document, write_coco, write_voc

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.image import original_size, read_header, read_image
from lightdet.data.record import doubts_of

Change = Callable[[dict[str, Any]], object]


def changed(root: Path, change: Change, **settings: object) -> Settings:
    written = write_coco(root) | settings
    document: dict[str, Any] = coco_document(TRAIN)
    change(document)
    (root / "train.json").write_text(json.dumps(document))
    return written


def every(part: str, **fields: Callable[[dict[str, Any]], object]) -> Change:
    def change(document: dict[str, Any]) -> None:
        for entry in document[part]:
            entry.update({name: make(entry) for name, make in fields.items()})

    return change


def half_crowd(document: dict[str, Any]) -> None:
    for entry in document["annotations"][::2]:
        entry["iscrowd"] = 1


def test_crowd_regions_are_told_and_no_objects_unless_they_are_taught(tmp_path: Path) -> None:
    settings = changed(tmp_path, half_crowd)
    reader = instantiate(settings)
    first, second = reader.read()["train"][:2]
    assert isinstance(first.annotation, Boxes) and isinstance(second.annotation, Boxes)
    assert first.boxes_xyxy.shape == (0, 4) and first.annotation.crowd_xyxy.tolist() == [list(BOX)]
    assert first.annotation.crowd_labels.tolist() == [0] and first.annotation.crowd_xyxy.dtype == np.float32
    assert second.boxes_xyxy.tolist() == [list(BOX)] and not len(second.annotation.crowd_labels)
    (doubt,) = doubts_of(reader)
    assert doubt.startswith("left out: 2 regions of many objects ('iscrowd': 1)") and "crowd=teach" in doubt
    taught = instantiate(settings, crowd="teach")
    assert [len(record.labels) for record in taught.read()["train"]] == [1, 1, 1, 1] and not doubts_of(taught)
    with pytest.raises(Exception, match=r"data\.reader\.crowd=keep: one of ignore, teach"):
        instantiate(settings, crowd="keep")


@pytest.mark.parametrize(
    "change",
    [
        every("annotations", score=lambda _: float("nan"), area=lambda _: float("inf")),
        every("annotations", iscrowd=lambda _: None),
        every("images", width=lambda image: float(image["width"])),
        every("images", width=lambda _: None, height=lambda _: None),
        every("images", width=lambda _: None),
        every("images", width=lambda _: 0, height=lambda _: 0),
        every(
            "annotations",
            category_id=lambda one: float(one["category_id"]),
            image_id=lambda one: float(one["image_id"]),
        ),
        every("images", file_name=lambda image: "..\\photos\\" + str(image["file_name"])),
    ],
    ids=[
        "NaN unused",
        "null crowd",
        "decimal size",
        "null size",
        "no width",
        "size 0",
        "decimal ids",
        "Windows folders",
    ],
)
def test_what_scripts_write_is_read(change: Change, tmp_path: Path) -> None:
    records = instantiate(changed(tmp_path, change)).read()
    assert [record.boxes_xyxy.tolist() for record in records["train"]] == [[list(BOX)]] * 4


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            every("images", width=lambda _: "32"),
            r"images\[0\] \(id 0\): 'width' is '32' and no number",
        ),
        (
            every("annotations", bbox=lambda _: ["1", "2"]),
            r"annotations\[0\] \(id 0\): 'bbox' is \['1', '2'\] and not",
        ),
        (
            every("annotations", image_id=lambda one: str(one["image_id"])),
            r"annotations\[0\] .* '0' \(a text\)",
        ),
        (every("annotations", category_id=lambda _: 1.5), r"annotations\[0\] \(id 0\): 'category_id' is missing or"),
        (every("annotations", bbox=lambda _: [3.44, 2.5, 3e-8, 12.0]), r"annotations\[0\] \(id 0\): box .* is empty"),
        (every("images", height=lambda _: 10**400), r"images\[0\] \(id 0\): a\.png: made for an image of 32 x 1e\+09"),
    ],
)
def test_what_cannot_be_meant_names_the_field_and_the_id(change: Change, line: str, tmp_path: Path) -> None:
    with pytest.raises(LightdetError, match=line):
        instantiate(changed(tmp_path, change)).read()


def with_root(document: dict[str, Any]) -> None:
    for entry in document["categories"]:
        entry["supercategory"] = "parts"
    document["categories"].insert(0, {"id": 0, "name": "parts", "supercategory": "none"})


def test_a_category_that_is_only_above_others_is_no_class(tmp_path: Path) -> None:
    settings = changed(tmp_path, with_root)
    reader = instantiate(settings)
    records = reader.read()
    assert reader.classes == CLASSES and records["train"][1].labels.tolist() == [1]
    (doubt,) = doubts_of(reader)
    assert "the category 'parts' has no box and is only the supercategory of others" in doubt
    document = json.loads((tmp_path / "val.json").read_text())
    document["categories"].append({"id": 0, "name": "parts"})
    document["annotations"][0]["category_id"] = 0
    (tmp_path / "val.json").write_text(json.dumps(document))
    assert instantiate(settings).classes == ("parts", *CLASSES)


def turned(path: Path, orientation: int) -> None:
    """A photo of 32 x 24 px stored so that a viewer turns it to 32 x 24."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.open(path).transpose(Image.Transpose.ROTATE_90)  # 6 turns a quarter clockwise
    stored.save(path, exif=exif)


@pytest.mark.parametrize("layout", ["coco", "voc"])
def test_a_size_that_is_swapped_by_the_orientation_of_its_image_says_why(layout: str, tmp_path: Path) -> None:
    settings = {"coco": write_coco, "voc": write_voc}[layout](tmp_path)
    photo = tmp_path / {"coco": "photos", "voc": "IMAGES"}[layout] / "a.png"
    upright = read_image(photo)
    turned(photo, 6)
    assert read_header(photo)[:3] == (24, 32, 6) and original_size(photo) == (24, 32)
    np.testing.assert_array_equal(read_image(photo), upright)
    assert instantiate(settings).read()["train"][0].boxes_xyxy.tolist() == [list(BOX)]  # labels of the image as shown
    for name in ("train.json", "ANNOTATIONS/a.xml"):
        if (path := tmp_path / name).exists():
            text = path.read_text().replace('"width": 32, "height": 24', '"width": 24, "height": 32')
            path.write_text(
                text.replace("<width>32</width><height>24</height>", "<width>24</width><height>32</height>")
            )
    with pytest.raises(LightdetError, match=r"24 x 32 px, but the image has 32 x 24 px when .* EXIF orientation \(6\)"):
        instantiate(settings).read()


def test_shares_of_the_image_are_no_boxes(tmp_path: Path) -> None:
    settings = write_coco(tmp_path)
    for name in ("train", "val"):
        document: dict[str, Any] = json.loads((tmp_path / f"{name}.json").read_text())
        for entry in document["annotations"]:
            entry["bbox"] = [0.125, 0.25, 0.5, 0.5]
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        if name == "train":
            instantiate(settings).read()  # the others are pixels
    with pytest.raises(LightdetError, match=r"a\.png: its boxes and all others lie in the first pixel"):
        instantiate(settings).read()
