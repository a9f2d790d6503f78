"""YOLO text files, as labels to begin with: a line `class cx cy w h` in shares of the image for each box, no score.

They lie in yolo/labels/ under the name of the image, and yolo/data.yaml names the classes: with the images in
yolo/images/ they are a dataset that `data=yolo` reads.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import yaml

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_text
from lightdet.engine.sink.contract import Entry

boxes = True
files = ("yolo/data.yaml",)


def write(out: Path, entries: Iterable[Entry], classes: Sequence[str]) -> None:
    """Raises LightdetError where two images would have one label file."""
    written: dict[str, str] = {}
    for entry in entries:
        label = str(PurePosixPath(entry["name"]).with_suffix(".txt"))
        if label in written:
            raise LightdetError(
                f"--write yolo: {entry['name']} and {written[label]} would both have the labels {label}; rename one"
            )
        written[label] = entry["name"]
        write_text(out / "yolo/labels" / label, "".join(f"{row}\n" for row in _rows(entry)))
    content = {"path": ".", "train": "images", "val": "images", "nc": len(classes), "names": list(classes)}
    write_text(out / files[0], yaml.safe_dump(content, allow_unicode=True, sort_keys=False))


def _rows(entry: Entry) -> list[str]:
    height, width = entry["height"], entry["width"]
    rows = []
    for box in entry["boxes"]:
        x1, y1, x2, y2 = box["box_xyxy"]
        shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        rows.append(f"{box['label']} " + " ".join(f"{share:.8f}".rstrip("0") for share in shares))
    return rows
