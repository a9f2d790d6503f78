"""The kinds of annotation of an image: readers provide them, models declare which one they need. No torch here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Boxes:
    """Every object of an image; none means that the part has no defect."""

    xyxy: np.ndarray  # (N, 4) float32, original px, continuous
    labels: np.ndarray  # (N,) int64, 0..C-1


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """The class of the whole image."""

    label: int  # 0..C-1


@dataclass(frozen=True, slots=True)
class Mask:
    """A class for every pixel, in a file of one channel that is as large as the image."""

    path: Path  # value 0: background; value k + 1: class k
    labels: tuple[int, ...] = ()  # the classes that occur in it, where the reader knows them


Annotation = Boxes | ClassLabel | Mask | None
