"""YOLO text files and a data.yaml: `images/<split>/` and `labels/<split>/`."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from lightdet.data.writer.contract import Placed, Settings, Splits, put


class Yolo:
    """A line `class cx cy w h` for each box, in shares of the image with 17 digits."""

    option = "yolo"
    crowd = False
    strips = False

    def image(self, split: str, name: str) -> str:
        return f"images/{split}/{name}"

    def write(self, folder: Path, classes: Sequence[str], splits: Splits) -> None:
        for split, placed in splits.items():
            for one in placed:
                label = folder / "labels" / split / Path(one.name).with_suffix(".txt").name
                put(label, "".join(f"{row}\n" for row in _rows(one)))
        content = {**{split: f"images/{split}" for split in splits}, "nc": len(classes), "names": list(classes)}
        put(folder / "data.yaml", yaml.safe_dump(content, allow_unicode=True, sort_keys=False))

    def settings(self, classes: Sequence[str], splits: Splits) -> Settings:
        return {}


def _rows(one: Placed) -> list[str]:
    rows = []
    for box, label in zip(one.record.boxes_xyxy, one.record.box_labels, strict=True):
        x1, y1, x2, y2 = map(float, box)
        shares = ((x1 + x2) / 2 / one.width, (y1 + y2) / 2 / one.height, (x2 - x1) / one.width, (y2 - y1) / one.height)
        rows.append(f"{int(label)} " + " ".join(map(repr, shares)))
    return rows
