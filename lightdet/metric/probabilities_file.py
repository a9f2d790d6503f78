"""The probabilities of each image beside its classes: `probabilities.json` of a classifier's run. No torch here.

{"classes": ["crazing", ...],
 "images": [{"id": "IMAGES/crazing_8.jpg",
             "label": 0,                          or, of images with any number of classes, "labels": [0, 2]
             "probabilities": [0.93, ...]}, ...]}                                          one for each class
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json

FILE_NAME = "probabilities.json"
MOST_BYTES = 2**28
MOST_CLASSES = 10_000
ROUNDING = 1e-6  # by which the sum of a softmax may be above 1


@dataclass(frozen=True, slots=True)
class KeptProbabilities:
    """The content of one file: N images, C classes."""

    classes: tuple[str, ...]
    image_ids: tuple[str, ...]
    shown: np.ndarray  # (N, C) bool: the classes of an image
    probabilities: np.ndarray  # (N, C) float64, 0..1
    one_class: bool  # whether each image has one class, in place of any number


def read_probabilities(folder: Path) -> KeptProbabilities | None:
    """The file of a run folder; None where there is none. Raises LightdetError for one that is broken or of another
    kind."""
    path = folder / FILE_NAME
    content = read_json(path, MOST_BYTES)
    if not content:
        return None
    try:
        entries: list[dict[str, Any]] = content["images"]
        classes = tuple(str(name) for name in content["classes"])
        if not 0 < len(classes) <= MOST_CLASSES:
            raise ValueError(f"{len(classes)} classes")
        image_ids = tuple(str(entry["id"]) for entry in entries)
        one_class = all("label" in entry for entry in entries)
        labels = [[entry["label"]] if one_class else entry["labels"] for entry in entries]
        probabilities = np.array([entry["probabilities"] for entry in entries], np.float64)
        probabilities = probabilities.reshape(len(entries), len(classes))
        shown = np.zeros(probabilities.shape, bool)
        for row, found in zip(shown, labels, strict=True):
            row[[_label(value, len(classes)) for value in found]] = True
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise LightdetError(
            f"{path}: not the probabilities of a run ({type(error).__name__}: {error}); evaluate the run again"
        ) from None
    if len(set(image_ids)) < len(image_ids) or not ((probabilities >= 0) & (probabilities <= 1 + ROUNDING)).all():
        raise LightdetError(f"{path}: an image twice, or a probability that is none; evaluate the run again")
    return KeptProbabilities(classes, image_ids, shown, probabilities, one_class)


def _label(value: object, num_classes: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < num_classes:
        raise ValueError("a label that is no class")
    return value
