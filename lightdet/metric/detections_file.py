"""The detections of each image beside the ground truth: `detections.json`. No torch here.

{"box": "xyxy, original px",
 "classes": ["crazing", ...],
 "images": [{"id": "IMAGES/crazing_8.jpg",
             "detections": [[x1, y1, x2, y2, score, label], ...],      best first, at most 100 of a class
             "truth": [[x1, y1, x2, y2, label], ...],
             "crowd": [[x1, y1, x2, y2, label], ...]}, ...]}             only where the image has crowd regions
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_text
from lightdet.metric.coco import MAX_DETECTIONS
from lightdet.metric.match_record import ImageBoxes

FILE_NAME = "detections.json"
MOST_BYTES = 2**30
MOST_CLASSES = 10_000
DIGITS = 9  # significant ones, all that float32 has: a weak detector's ranking, and an IoU of a half, hang on the last


@dataclass(frozen=True, slots=True)
class KeptDetections:
    """The content of one file; boxes in original px."""

    classes: tuple[str, ...]
    image_ids: tuple[str, ...]
    images: tuple[ImageBoxes, ...]  # one per id


def write_detections(
    path: Path, classes: Sequence[str], image_ids: Sequence[str], images: Sequence[ImageBoxes]
) -> None:
    """Writes the file as a whole, a line per image, with the precision of float32.

    Only the detections that the metric counts are kept: the best `MAX_DETECTIONS` of each class in an image.
    """
    lines = []
    for image_id, image in zip(image_ids, images, strict=True):
        entry = {
            "id": image_id,
            "detections": [[*_rounded(numbers), int(label)] for *numbers, label in _counted(image.detections).tolist()],
            "truth": [[*_rounded(box), int(label)] for *box, label in image.ground_truth.tolist()],
        }
        if len(image.crowd):
            entry["crowd"] = [[*_rounded(box), int(label)] for *box, label in image.crowd.tolist()]
        lines.append(json.dumps(entry, separators=(",", ":"), allow_nan=False))
    head = json.dumps({"box": "xyxy, original px", "classes": list(classes)})
    write_text(path, head[:-1] + ', "images": [\n' + ",\n".join(lines) + "\n]}\n")


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [float(f"{number:.{DIGITS}g}") for number in numbers]


def _counted(detections: np.ndarray) -> np.ndarray:
    """(N, 6), best first: the best of each class, as many as its average precision counts."""
    ranked = detections[np.argsort(-detections[:, 4], kind="stable")]
    places = [np.flatnonzero(ranked[:, 5] == label)[:MAX_DETECTIONS] for label in np.unique(ranked[:, 5])]
    return ranked[np.sort(np.concatenate([np.zeros(0, int), *places]))]


def read_detections(path: Path) -> KeptDetections:
    """The file's content. Raises LightdetError for a file that is missing, broken or of another kind."""
    content = read_json(path, MOST_BYTES)
    try:
        entries: list[dict[str, Any]] = content["images"]
        classes = tuple(str(name) for name in content["classes"])
        images = tuple(
            ImageBoxes(_table(e["detections"], 6), _table(e["truth"], 5), _table(e.get("crowd", []), 5))
            for e in entries
        )
        image_ids = tuple(str(entry["id"]) for entry in entries)
        if len(classes) > MOST_CLASSES:
            raise ValueError(f"more than {MOST_CLASSES} classes")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise LightdetError(f"{path}: not the detections of a run ({type(error).__name__}: {error})") from None
    labels = np.concatenate([np.zeros(0), *(t[:, -1] for i in images for t in (i.detections, i.ground_truth, i.crowd))])
    if len(set(image_ids)) < len(image_ids) or not np.isin(labels, np.arange(len(classes))).all():
        raise LightdetError(f"{path}: an image twice, or a label that is no class")
    return KeptDetections(classes, image_ids, images)


def _table(rows: list[list[float]], columns: int) -> np.ndarray:
    """Rows of numbers -> (N, columns) float64, N = 0 included."""
    table = np.array(rows, dtype=np.float64).reshape(len(rows), columns)
    if not np.isfinite(table).all():
        raise ValueError("a number that is not finite")
    return table
