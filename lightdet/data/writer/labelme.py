"""LabelMe JSON: a file beside each image, in a folder for each split."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.data.writer.contract import Placed, Settings, Splits, exact, put


class Labelme:
    """Boxes are rectangles from the upper left to the lower right corner. The format does not keep the order of the
    classes: data.reader.classes does."""

    option = "labelme"
    crowd = False
    strips = True

    def image(self, split: str, name: str) -> str:
        return f"{split}/{name}"

    def write(self, folder: Path, classes: Sequence[str], splits: Splits) -> None:
        for split, placed in splits.items():
            for one in placed:
                path = folder / split / Path(one.name).with_suffix(".json").name
                text = json.dumps(_document(one, classes), ensure_ascii=False, indent=1)
                put(path, text + "\n")

    def settings(self, classes: Sequence[str], splits: Splits) -> Settings:
        return {"classes": list(classes), **{split: split for split in splits}}


def _document(one: Placed, classes: Sequence[str]) -> dict[str, Any]:
    shapes: list[dict[str, Any]] = [
        {
            "label": classes[int(label)],
            "points": [[exact(box[0]), exact(box[1])], [exact(box[2]), exact(box[3])]],
            "group_id": None,
            "shape_type": "rectangle",
            "flags": {},
        }
        for box, label in zip(one.record.boxes_xyxy, one.record.box_labels, strict=True)
    ]
    size = {"imageHeight": one.height, "imageWidth": one.width}
    return {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": one.name, "imageData": None, **size}
