"""COCO JSON: `annotations/instances_<split>.json`, images in a folder for each split."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.core.annotation import Boxes
from lightdet.data.writer.contract import Placed, Settings, Splits, exact, put, xywh


class Coco:
    """Category ids count from 1, in the order of the classes; crowd regions have `iscrowd: 1`."""

    option = "coco"
    crowd = True
    strips = False

    def image(self, split: str, name: str) -> str:
        return f"{split}/{name}"

    def write(self, folder: Path, classes: Sequence[str], splits: Splits) -> None:
        categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
        for split, placed in splits.items():
            images = [
                {"id": index, "file_name": one.name, "width": one.width, "height": one.height}
                for index, one in enumerate(placed, start=1)
            ]
            annotations = [entry for index, one in enumerate(placed, start=1) for entry in _entries(one, index)]
            for index, entry in enumerate(annotations, start=1):
                entry["id"] = index
            document = {"images": images, "annotations": annotations, "categories": categories}
            text = json.dumps(document, ensure_ascii=False, indent=1)
            put(folder / "annotations" / f"instances_{split}.json", text + "\n")

    def settings(self, classes: Sequence[str], splits: Splits) -> Settings:
        named = {split: f"annotations/instances_{split}.json" for split in splits}
        return {**named, **{f"{split}_images": split for split in splits}}


def _entries(one: Placed, image_id: int) -> list[dict[str, Any]]:
    boxes = one.record.annotation
    assert isinstance(boxes, Boxes)
    regions = [*zip(boxes.xyxy, boxes.labels, [0] * len(boxes.labels), strict=True)]
    regions += zip(boxes.crowd_xyxy, boxes.crowd_labels, [1] * len(boxes.crowd_labels), strict=True)
    entries = []
    for box, label, crowd in regions:
        bbox = xywh(box)
        entries.append(
            {
                "id": 0,
                "image_id": image_id,
                "category_id": int(label) + 1,
                "bbox": bbox,
                "area": exact(bbox[2] * bbox[3]),
                "iscrowd": crowd,
            }
        )
    return entries
