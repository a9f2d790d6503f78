"""LabelMe, CVAT and Datumaro are read as they drew it; what has no box is told."""

from pathlib import Path

import numpy as np
import pytest
from tiny_datasets import BOX, CLASSES, STEMS, TRAIN, VAL, label_of, stem, write_photo
from tool_datasets import (
    TOOL_WRITERS,
    TRIANGLE,
    boxes,
    build,
    cvat_box,
    cvat_image,
    cvat_xml,
    datumaro_bbox,
    datumaro_document,
    datumaro_item,
    labelme_document,
    labelme_shape,
    told,
    write_cvat,
    write_datumaro,
    write_json,
    write_label_studio,
    write_labelme,
)

from lightdet.core.errors import LightdetError


@pytest.mark.parametrize("tool", TOOL_WRITERS)
def test_every_tool_gives_the_same_records(tool: str, tmp_path: Path) -> None:
    reader = build(TOOL_WRITERS[tool](tmp_path))
    assert reader.classes == CLASSES
    records = reader.read()
    assert reader.doubts == ()
    if tool == "label_studio":  # knows no splits
        assert sorted(stem(r) for r in records["train"] + records["val"]) == list(STEMS)
    else:
        assert {name: tuple(map(stem, some)) for name, some in records.items()} == {"train": TRAIN, "val": VAL}
    for record in records["train"] + records["val"]:
        np.testing.assert_allclose(record.boxes_xyxy, [BOX], atol=1e-5)
        assert record.labels.tolist() == [label_of(stem(record))]
        assert tmp_path / record.image_id == record.path
    assert [r.image_id for r in reader.read()["train"]] == [r.image_id for r in records["train"]]


def test_labelme_shapes_become_boxes_or_are_told(tmp_path: Path) -> None:
    settings = write_labelme(tmp_path)
    shapes = [
        labelme_shape("dent", TRIANGLE, None),
        labelme_shape("dent", [[16, 12], [16, 17]], "circle"),
        labelme_shape("dent", [[2, 3], [5, 7]], "mask", mask="iVBORw0KGgo="),
        labelme_shape("dent", [[1, 1]], "point"),
        labelme_shape("dent", [[1, 1], [3, 3]], "linestrip"),
    ]
    write_json(tmp_path / "train" / "a.json", labelme_document("a.png", shapes))
    reader = build(settings)
    assert boxes(reader.read()["train"], "a") == [list(BOX), [11, 7, 21, 17], [2, 3, 6, 8]]
    assert told(reader) == [
        "left out: 1 shapes of the type point, which have no box",
        "left out: 1 shapes of the type linestrip, which have no box",
    ]


def test_labelme_parts_of_a_group_are_one_object_and_rectangles_are_not(tmp_path: Path) -> None:
    settings = write_labelme(tmp_path)
    far = [[25.0, 2.0], [30.0, 2.0], [30.0, 8.0]]
    parts = [labelme_shape("dent", TRIANGLE, "polygon", group_id=0), labelme_shape("dent", far, "polygon", group_id=0)]
    other = labelme_shape("scratch", far, "polygon", group_id=0)
    pair = [labelme_shape("dent", [[1, 1], [4, 4]], group_id=5), labelme_shape("dent", [[6, 6], [9, 9]], group_id=5)]
    write_json(tmp_path / "train" / "a.json", labelme_document("a.png", [*parts, other, *pair]))
    assert boxes(build(settings).read()["train"], "a") == [
        [4, 2, 30, 18],
        [25, 2, 30, 8],
        [1, 1, 4, 4],
        [6, 6, 9, 9],
    ]


@pytest.mark.parametrize("stated", ["..\\train\\a.png", "C:\\Users\\me\\a.png", "/home/me/a.png", "../../secret/a.png"])
def test_labelme_images_are_found_beside_their_file_when_the_path_is_of_another_machine(
    stated: str, tmp_path: Path
) -> None:
    settings = write_labelme(tmp_path)
    document = labelme_document(stated, [labelme_shape("dent", TRIANGLE, "polygon")])
    write_json(tmp_path / "train" / "a.json", document)
    assert boxes(build(settings).read()["train"], "a") == [list(BOX)]


def test_labelme_images_without_a_file_are_told_or_good(tmp_path: Path) -> None:
    settings = write_labelme(tmp_path)
    write_photo(tmp_path / "train" / "good.png")
    write_photo(tmp_path / "train" / ".ipynb_checkpoints" / "a.png")
    write_json(tmp_path / "train" / "settings.json", {"mine": 1})
    reader = build(settings)
    assert [stem(record) for record in reader.read()["train"]] == list(TRAIN)
    lines = "\n".join(reader.doubts)
    assert (
        "1 images without a JSON file" in lines and "1 images that no person made" in lines and "no 'shapes'" in lines
    )
    good = build(settings, unlabelled="good").read()["train"]
    assert [(stem(record), len(record.labels)) for record in good][-1] == ("good", 0)
    with pytest.raises(LightdetError, match=r"data\.reader\.unlabelled=x: one of leave_out, good"):
        build(settings, unlabelled="x")


def test_classes_that_are_not_given_are_found_and_told(tmp_path: Path) -> None:
    for write in (write_labelme, write_label_studio):
        reader = build(write(tmp_path / write.__name__), classes=None)
        assert reader.classes == ("dent", "scratch")
        assert reader.doubts[0].endswith(": taken are those found, in this order: dent (3), scratch (3)")


def test_cvat_shapes_become_boxes_or_are_told(tmp_path: Path) -> None:
    settings = write_cvat(tmp_path)
    points = ";".join(f"{x},{y}" for x, y in TRIANGLE)
    objects = [
        f'<polygon label="dent" points="{points}"/>',
        '<ellipse label="dent" cx="16" cy="12" rx="5" ry="3" rotation="90"/>',
        '<mask label="dent" rle="1, 2" left="3" top="4" width="5" height="6"/>',
        cvat_box("dent", (10, 8, 20, 12), rotation=90),
        cvat_box("dent", outside=1),
        '<polyline label="dent" points="1,1;2,2"/>',
        '<skeleton label="dent"><points label="1" points="1,1"/></skeleton>',
        '<tag label="dent"/>',
    ]
    val = cvat_image("e", cvat_box("scratch"), "Validation")
    text = cvat_xml(cvat_image("a", "".join(objects), "Train") + cvat_image("b", "", "Train") + val)
    (tmp_path / "annotations.xml").write_text(text)
    reader = build(settings)
    records = reader.read()
    assert boxes(records["train"], "a") == [list(BOX), [13, 7, 19, 17], [3, 4, 8, 10], [13, 5, 17, 15]]
    assert boxes(records["train"], "b") == []
    assert told(reader) == [
        "left out: 1 objects marked as outside of their image",
        "left out: 1 objects drawn as polyline, which have no box",
        "left out: 1 objects drawn as skeleton, which have no box",
        "left out: 1 objects drawn as tag, which have no box",
        "left out: 3 images that the annotations do not name",
    ]


def test_cvat_parts_of_a_group_and_labels_that_have_no_box(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png")
    write_photo(tmp_path / "b.png")
    part = '<polygon label="dent" group_id="{}" points="{}"/>'
    objects = part.format(3, "1,1;5,1;5,5") + part.format(3, "7,7;9,7;9,9") + part.format(0, "7,7;9,7;9,9")
    labels = "".join(
        f"<label><name>{name}</name><type>{kind}</type></label>"
        for name, kind in (("scratch", "rectangle"), ("line", "polyline"), ("person", "skeleton"), ("dent", "polygon"))
    )
    labels += "<label><name>1</name><type>any</type><parent>person</parent></label>"
    text = cvat_xml(cvat_image("a", objects, "batch 1") + cvat_image("b", objects, "batch 2"), labels)
    (tmp_path / "annotations.xml").write_text(text)
    reader = build({"_target_": "lightdet.data.reader.cvat.Cvat", "root": str(tmp_path), "val_share": 0.5})
    assert reader.classes == ("scratch", "dent")
    records = reader.read()
    assert boxes(records["train"] + records["val"], "a") == [[1, 1, 9, 9], [7, 7, 9, 9]]


def test_datumaro_shapes_become_boxes_or_are_told(tmp_path: Path) -> None:
    settings = write_datumaro(tmp_path)
    flat = [value for point in TRIANGLE for value in point]
    annotations = [
        {"type": "polygon", "label_id": 1, "points": flat, "group": 0},
        {"type": "ellipse", "label_id": 1, "points": [1, 2, 11, 8]},
        {"type": "rotated_bbox", "label_id": 1, "points": [15, 10, 10, 4, 90]},
        datumaro_bbox(0, bbox=[10, 8, 10, 4], attributes={"rotation": 90.0}),
        datumaro_bbox(1, group=4),
        {"type": "polygon", "label_id": 1, "points": [9, 9, 30, 9, 30, 12], "group": 4},
        datumaro_bbox(1, attributes={"outside": True}),
        {"type": "mask", "label_id": 1, "rle": {"counts": "abc", "size": [24, 32]}},
        {"type": "label", "label_id": 1},
    ]
    items = [datumaro_item("a", annotations), datumaro_item("b", []), {"id": "p", "annotations": [], "point_cloud": {}}]
    items[1]["image"] = {"path": ""}  # exported without its image
    write_json(tmp_path / "annotations" / "train.json", datumaro_document(items))
    reader = build(settings)
    records = reader.read()
    assert boxes(records["train"], "a") == [
        list(BOX),
        [1, 2, 11, 8],
        [13, 5, 17, 15],
        [13, 5, 17, 15],
        list(BOX),
    ]
    assert [stem(record) for record in records["train"]] == ["a", "b"]
    assert told(reader) == [
        "left out: 1 objects marked as outside of their image",
        "left out: 1 annotations of the type mask, which have no box",
        "left out: 1 annotations of the type label, which have no box",
        "left out: 1 items without an image",
        "left out: 2 images that the annotations do not name",
    ]
