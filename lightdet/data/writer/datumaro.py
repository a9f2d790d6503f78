"""Datumaro JSON: `annotations/<split>.json` and `images/<split>/`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.core.annotation import Boxes
from lightdet.data.writer.contract import Placed, Settings, Splits, put, xywh


class Datumaro:
    """Boxes are annotations of the type bbox; crowd regions have the attribute is_crowd."""

    option = "datumaro"
    crowd = True
    strips = False

    def image(self, split: str, name: str) -> str:
        return f"images/{split}/{name}"

    def write(self, folder: Path, classes: Sequence[str], splits: Splits) -> None:
        labels = [{"name": name, "parent": "", "attributes": []} for name in classes]
        head = {
            "dm_format_version": "1.0",
            "media_type": 2,
            "infos": {},
            "categories": {"label": {"labels": labels, "label_groups": [], "attributes": []}},
        }
        for split, placed in splits.items():
            text = json.dumps({**head, "items": [_item(one) for one in placed]}, ensure_ascii=False, indent=1)
            put(folder / "annotations" / f"{split}.json", text + "\n")

    def settings(self, classes: Sequence[str], splits: Splits) -> Settings:
        return {}


def _item(one: Placed) -> dict[str, Any]:
    boxes = one.record.annotation
    assert isinstance(boxes, Boxes)
    regions = [*zip(boxes.xyxy, boxes.labels, [False] * len(boxes.labels), strict=True)]
    regions += zip(boxes.crowd_xyxy, boxes.crowd_labels, [True] * len(boxes.crowd_labels), strict=True)
    annotations = [
        {
            "id": index,
            "type": "bbox",
            "attributes": {"is_crowd": crowd},
            "group": 0,
            "label_id": int(label),
            "z_order": 0,
            "bbox": xywh(box),
        }
        for index, (box, label, crowd) in enumerate(regions)
    ]
    image = {"path": one.name, "size": [one.height, one.width]}
    return {"id": Path(one.name).stem, "annotations": annotations, "image": image}
