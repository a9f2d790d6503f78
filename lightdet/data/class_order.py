"""A dataset whose classes are in another order than a model's."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lightdet.core.annotation import Annotation, Boxes, ClassLabel, LabelSet
from lightdet.core.errors import LightdetError
from lightdet.data.record import Reader, Record


class InOrder:
    """A reader with the labels of `classes`, whichever order of the same names it has itself.

    Raises LightdetError for other names, and for masks in another order, whose labels lie in files.
    """

    def __init__(self, reader: Reader, classes: Sequence[str]) -> None:
        if set(reader.classes) != set(classes) or len(reader.classes) != len(classes):
            raise LightdetError(f"trained on {', '.join(classes)}; the data has {', '.join(reader.classes)}")
        self.classes = tuple(classes)
        self._reader = reader
        self._labels = np.array([self.classes.index(name) for name in reader.classes], np.int64)

    def read(self) -> dict[str, list[Record]]:
        """The records of the reader, with labels of the wanted order."""
        return {
            split: [replace(record, annotation=self._placed(record)) for record in records]
            for split, records in self._reader.read().items()
        }

    def __getattr__(self, name: str) -> Any:
        """What else a reader tells, such as its doubts."""
        return getattr(self._reader, name)

    def _placed(self, record: Record) -> Annotation:
        found = record.annotation
        if isinstance(found, Boxes):
            return found.relabelled(self._labels)
        if isinstance(found, ClassLabel):
            boxes = None if found.boxes is None else found.boxes.relabelled(self._labels)
            return ClassLabel(int(self._labels[found.label]), boxes)
        if isinstance(found, LabelSet):
            boxes = None if found.boxes is None else found.boxes.relabelled(self._labels)
            return LabelSet(tuple(sorted(self._labels[list(found.labels)].tolist())), boxes)
        if found is not None:
            raise LightdetError(f"{record.path}: masks of classes in another order: give them the model's order")
        return None
