"""The records of a reader: annotated images on disk, independent of the dataset's format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from unicodedata import normalize

import numpy as np

from lightdet.core.annotation import Annotation, Boxes, ClassLabel, LabelSet, Mask
from lightdet.core.channels import BITS, CHANNELS
from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown
from lightdet.data.image import as_channels, read_image

Splits = Mapping[str, Sequence["Record"]]
KIND_NAMES = {Boxes: "boxes", ClassLabel: "class label", LabelSet: "set of labels", Mask: "mask"}
LABELLED = {ClassLabel: "set data.label=first, or labels=several for all classes", LabelSet: "set data.label=all"}


@dataclass(frozen=True, slots=True)
class Record:
    """One image on disk with its annotation."""

    image_id: str  # the path relative to the data root, with "/" between folders
    path: Path
    annotation: Annotation
    domain: str = ""  # where the image comes from: a line, a camera, a product
    reference: Path | None = None  # a second image of the same size: the defect-free template, another exposure
    bits: int | None = None  # of the camera, for `read_image`; a setting of the whole dataset, not of its reader

    @property
    def boxes(self) -> Boxes | None:
        """The annotation itself, or those from which the class of the image was made; None: of another kind."""
        found = self.annotation.boxes if isinstance(self.annotation, ClassLabel | LabelSet) else self.annotation
        return found if isinstance(found, Boxes) else None

    @property
    def boxes_xyxy(self) -> np.ndarray:
        """(N, 4) float32, original px, continuous; N = 0 where there are no `boxes`."""
        return np.zeros((0, 4), np.float32) if self.boxes is None else self.boxes.xyxy

    @property
    def box_labels(self) -> np.ndarray:
        """(N,) int64: the classes of `boxes_xyxy`."""
        return np.zeros(0, np.int64) if self.boxes is None else self.boxes.labels

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64: the classes of the annotation of any kind; those of the image where it has any. Splits are
        balanced by them."""
        if isinstance(self.annotation, ClassLabel):
            return np.array([self.annotation.label], np.int64)
        if isinstance(self.annotation, LabelSet | Mask):
            return np.array(self.annotation.labels, np.int64)
        return self.box_labels


def read_pixels(record: Record, channels: int) -> np.ndarray:
    """(H, W, channels) uint8: RGB (3) or grey (1); with twice as many channels those of the reference image follow.

    Raises LightdetError for an image that cannot be read, and for a reference that is missing or of another size.
    """
    of_image, with_reference = CHANNELS[channels]
    image = as_channels(read_image(record.path, record.bits), of_image)
    if not with_reference:
        return image
    if record.reference is None:
        raise LightdetError(
            f"{record.path}: no reference image, which channels={channels} needs; set channels={of_image}"
        )
    reference = as_channels(read_image(record.reference, record.bits), of_image)
    if reference.shape != image.shape:
        raise LightdetError(
            f"{record.reference}: {reference.shape[1]} x {reference.shape[0]} px, and the image beside it "
            f"{image.shape[1]} x {image.shape[0]} px; make them equal"
        )
    return np.concatenate((image, reference), axis=2)


class Reader(Protocol):
    """Turns a dataset on disk into records. Nothing is decoded: only labels and image headers are read.

    A reader may also have `doubts: tuple[str, ...]`, known after `read`: a line for each thing that a person should
    know of the dataset, among them what was left out and how often (`core/left_out.py`). Training, doctor and
    evaluation print them.
    """

    classes: tuple[str, ...]  # known after construction

    def read(self) -> dict[str, list[Record]]:
        """Records under "train", "val" and, where there is one, "test".

        Raises LightdetError, one line naming the file, for anything that is missing, broken or contradictory.
        """
        ...


def doubts_of(reader: Reader) -> tuple[str, ...]:
    """What a person should know of what `read` gave, a line each: the reader's `doubts`, if it has any, and classes
    whose names differ in spaces or case alone."""
    by_letters: dict[str, list[str]] = {}
    for name in reader.classes:
        by_letters.setdefault("".join(normalize("NFKC", name).casefold().split()), []).append(name)
    alike = (
        f"the classes {' and '.join(map(repr, names))} differ in spaces or case alone; are they one class?"
        for names in by_letters.values()
        if len(names) > 1
    )
    return tuple(map(shown, (*getattr(reader, "doubts", ()), *alike)))


def with_bits(splits: Mapping[str, Sequence[Record]], bits: int | None) -> dict[str, list[Record]]:
    """The same records, all images to be read with `bits`. Raises LightdetError for a depth that is none of BITS."""
    if bits is not None and (isinstance(bits, bool) or bits not in BITS):
        raise LightdetError(f"data.bits={bits}: one of null, {', '.join(map(str, BITS))}")
    return {name: [replace(record, bits=bits) for record in records] for name, records in splits.items()}


def require_kind(splits: Splits, kind: type | None, needed_by: str = "this model") -> None:
    """Raises LightdetError for a record whose annotation is not of `kind`, one of those in `lightdet.core.annotation`.

    None: no annotation is needed.
    """
    if kind is None:
        return
    for split in ("train", "val", "test"):
        for record in splits.get(split, ()):
            if not isinstance(record.annotation, kind):
                have = KIND_NAMES.get(type(record.annotation), "no annotation")
                advice = "take a model for this kind of annotation, or another data.reader"
                if record.annotation is not None:
                    advice = LABELLED.get(kind, advice)
                raise LightdetError(
                    f"dataset: {record.path} in '{split}' has {have}, and {needed_by} needs {KIND_NAMES[kind]}; "
                    f"{advice}"
                )
