"""The kinds of annotation of an image: readers provide them, models declare which one they need. No torch here."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Boxes:
    """Every object of an image; none means that the part has no defect.

    A crowd region covers many objects of a class that nobody separated. A detection of its class inside it is neither
    right nor wrong; training does not see the region and takes its pixels for background.
    """

    xyxy: np.ndarray  # (N, 4) float32, original px, continuous
    labels: np.ndarray  # (N,) int64, 0..C-1
    crowd_xyxy: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))  # (K, 4), as xyxy
    crowd_labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # (K,), as labels

    def relabelled(self, labels: np.ndarray) -> "Boxes":
        """The same boxes with the class `labels[k]` in place of k."""
        return replace(self, labels=labels[self.labels], crowd_labels=labels[self.crowd_labels])


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """The class of the whole image.

    Where it was made from boxes, these are kept beside it, with labels of the same classes: a model may look at them
    while it trains, and a picture may show them. They do not count where two are compared.
    """

    label: int  # 0..C-1
    boxes: Boxes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """All classes of the whole image; none means that the part has no defect. Boxes are kept as in `ClassLabel`."""

    labels: tuple[int, ...]  # 0..C-1, ascending, each once
    boxes: Boxes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Mask:
    """A class for every pixel, in a file of one channel that is as large as the image."""

    path: Path  # value 0: background; value k + 1: class k
    labels: tuple[int, ...] = ()  # the classes that occur in it, where the reader knows them


Annotation = Boxes | ClassLabel | LabelSet | Mask | None
