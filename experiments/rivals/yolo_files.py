"""Annotated images as the YOLO text files that Ultralytics reads."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from lightdet.data.image import is_deep, original_size, read_image
from lightdet.data.record import Record


def image_copy(folder: Path, split: str, number: int, record: Record) -> Path:
    """The copy of the n-th record of a split; its number identifies the record."""
    return folder / "images" / split / f"{number:05d}{record.path.suffix}"


def export_yolo(splits: Mapping[str, Sequence[Record]], classes: Sequence[str], folder: Path) -> Path:
    """Copies the images of "train" and "val" with their labels; returns the data.yaml.

    Images of more than 8 bits per channel are written as `read_image` gives them: the rival would keep the high bytes
    alone.
    """
    for split, records in splits.items():
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for number, record in enumerate(records):
            copy = image_copy(folder, split, number, record)
            if is_deep(record.path):
                Image.fromarray(read_image(record.path, record.bits)).save(copy)
            else:
                shutil.copyfile(record.path, copy)
            height, width = original_size(record.path)
            lines = []
            for label, (left, top, right, bottom) in zip(record.labels, record.boxes_xyxy.tolist(), strict=True):
                centre = f"{(left + right) / 2 / width:.6f} {(top + bottom) / 2 / height:.6f}"
                lines.append(f"{label} {centre} {(right - left) / width:.6f} {(bottom - top) / height:.6f}")
            (labels / f"{copy.stem}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    description = {
        "path": str(folder.resolve()),
        **{split: f"images/{split}" for split in splits},
        "names": list(classes),
    }
    path = folder / "data.yaml"
    path.write_text(json.dumps(description), encoding="utf-8")  # JSON is YAML
    return path
