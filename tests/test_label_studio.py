"""Label Studio's exports: regions, the annotation that counts, and the places of images."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_datasets import BOX, stem, write_photo
from tool_datasets import (
    TRIANGLE,
    boxes,
    build,
    studio_region,
    studio_task,
    studio_value,
    told,
    write_json,
    write_label_studio,
)

from lightdet.core.errors import LightdetError


def test_label_studio_shapes_become_boxes_or_are_told(tmp_path: Path) -> None:
    settings = write_label_studio(tmp_path)
    percent = [[x / 32 * 100, y / 24 * 100] for x, y in TRIANGLE]
    ellipse = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "ellipselabels": ["dent"]}
    bare = studio_value(label=None)
    regions = [
        studio_region({"points": percent, "polygonlabels": ["dent"]}, type="polygonlabels"),
        studio_region(ellipse, type="ellipselabels"),
        studio_region(studio_value((20, 4, 26, 6), rotation=90)),  # turned about its first corner
        studio_region(bare, id="twice", type="rectangle"),
        studio_region(bare | {"labels": ["dent"]}, id="twice", type="labels"),
        studio_region(bare, id="alone", type="rectangle"),
        studio_region({"format": "rle", "rle": [1, 2], "brushlabels": ["dent"]}, type="brushlabels"),
        {"id": "c", "type": "choices", "value": {"choices": ["good"]}},
    ]
    tasks = [studio_task("a", regions), studio_task("b", []), studio_task("c", [regions[0]])]
    write_json(tmp_path / "project-7.json", tasks)
    reader = build(settings)
    records = reader.read()
    everything = records["train"] + records["val"]
    assert boxes(everything, "a") == [list(BOX), [8, 6, 24, 18], [18, 4, 20, 10], list(BOX)]
    assert boxes(everything, "b") == []
    assert told(reader) == [
        "left out: 1 regions without a label",
        "left out: 1 regions of the type brushlabels",
        "left out: 1 regions of the type choices",
        "left out: 3 images that the annotations do not name",
    ]


def test_label_studio_takes_the_annotation_that_counts(tmp_path: Path) -> None:
    settings = write_label_studio(tmp_path)

    def annotation(width: float, day: int, **more: Any) -> dict[str, Any]:
        region = studio_region(studio_value((4, 6, 4 + width, 18)))
        return {"result": [region], "updated_at": f"2026-01-0{day}T00:00:00Z", "ground_truth": False} | more

    cancelled = annotation(3, 9, was_cancelled=True)
    tasks = [
        studio_task("a", [], annotations=[annotation(10, 1), annotation(12, 2, ground_truth=True), annotation(14, 3)]),
        studio_task("b", [], annotations=[annotation(10, 2), cancelled]),
        studio_task("c", [], annotations=[annotation(10, 2), annotation(16, 1)]),
        studio_task("d", [], annotations=[cancelled]),
        studio_task("e", [], annotations=[], predictions=[annotation(5, 5)]),
        studio_task("f", [], annotations=[]),
    ]
    write_json(tmp_path / "project-7.json", tasks)
    with pytest.raises(LightdetError, match=r"tasks\[2\]: 2 annotations of one image; mark one as ground truth"):
        build(settings)
    reader = build(settings, several="latest")
    records = reader.read()
    everything = sorted(records["train"] + records["val"], key=stem)
    assert [(stem(r), *r.boxes_xyxy[0].round(3).tolist()) for r in everything] == [
        ("a", 4, 6, 16, 18),
        ("b", 4, 6, 14, 18),
        ("c", 4, 6, 14, 18),
    ]
    assert told(reader) == [
        "left out: 3 annotations beside the one of their task that counts",
        "left out: 2 cancelled annotations",
        "left out: 2 tasks without an annotation",
        "left out: 1 tasks with predictions alone",
    ]


def test_label_studio_json_min_and_the_places_of_images(tmp_path: Path) -> None:
    write_photo(tmp_path / "images" / "a.png")
    write_photo(tmp_path / "line 3" / "b.png")
    write_photo(tmp_path / "images" / "c.png")
    write_photo(tmp_path / "images" / "d-1.png")
    names = [
        "/data/upload/3/0a1b2c3d-a.png",
        "/data/local-files/?d=parts/line%203/b.png",
        "https://host.example/bucket/c.png?token=1",
        "s3://bucket/deep/d-1.png",
    ]
    region = {**studio_value(), "original_width": 32, "original_height": 24}
    bare = {key: value for key, value in region.items() if key != "rectanglelabels"}
    tasks = [{"id": 1, "image": name, "label": [region, bare], "annotator": 1, "text": ["x"]} for name in names]
    write_json(tmp_path / "min.json", tasks)
    reader = build({"_target_": "lightdet.data.reader.label_studio.LabelStudio", "root": str(tmp_path)})
    records = reader.read()
    assert told(reader)[1] == "left out: 4 regions without a label"
    assert sorted(record.image_id for record in records["train"] + records["val"]) == [
        "images/a.png",
        "images/c.png",
        "images/d-1.png",
        "line 3/b.png",
    ]
    assert all(record.boxes_xyxy.round(4).tolist() == [list(BOX)] for record in records["train"] + records["val"])


def test_a_turned_box_on_an_image_that_is_not_square(tmp_path: Path) -> None:
    settings = write_label_studio(tmp_path)
    value = studio_value((8, 4, 20, 8), rotation=30)
    tasks = [studio_task("a", [studio_region(value)]), studio_task("b", [studio_region(value)])]
    write_json(tmp_path / "project-7.json", tasks)
    records = build(settings).read()
    cosine, sine = math.cos(math.radians(30)), math.sin(math.radians(30))
    expected = [8 - 4 * sine, 4, 8 + 12 * cosine, 4 + 12 * sine + 4 * cosine]
    np.testing.assert_allclose(records["train"][0].boxes_xyxy[0], expected, rtol=1e-5)
