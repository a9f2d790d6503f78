"""The results of the doctor as values: findings, facts about images, boxes in input px, an examination."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from lightdet.data.record import Record, Splits
from lightdet.doctor.near import NearCopy
from lightdet.ops.grid import ImageSize
from lightdet.ops.letterbox import input_scale

NAMED = 3  # images that a message names; the JSON report has them all


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding about a dataset."""

    level: Literal["error", "warning", "note"]  # training would fail; check it; for information
    topic: str
    message: str  # one line
    images: tuple[str, ...] = ()  # image ids


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts that decoding an image gives."""

    height: int  # px
    width: int  # px
    digest: bytes  # of the pixels: equal for the same picture in another file, or in another format
    blank: bool  # every pixel the same
    problem: str = ""  # why it cannot be read; then nothing else is known
    orientation: int = 1  # EXIF, 1..8; 1 where the pixels are stored upright
    format: str = ""  # of the content: `Header.format`
    look: int = 0  # 63 bits, alike for images that look alike: lightdet/doctor/near.py
    brightest: int | None = None  # greatest value in the file, of an image with more than 8 bits per channel


@dataclass(frozen=True, slots=True)
class InputBoxes:
    """The boxes of some records as the network will see them."""

    sizes: np.ndarray  # (N, 2) float64 width and height, input px
    labels: np.ndarray  # (N,) int64
    images: tuple[str, ...]  # N image ids

    @staticmethod
    def of(
        records: Iterable[Record], original_sizes: Mapping[Path, tuple[int, int]], image_size: ImageSize
    ) -> "InputBoxes":
        """`original_sizes`: height and width in px; records of unknown size are left out."""
        known = [record for record in records if record.path in original_sizes]
        sizes, labels, images = [np.zeros((0, 2))], [np.zeros(0, np.int64)], list[str]()
        for record in known:
            scale = input_scale(*original_sizes[record.path], image_size)
            sizes.append((record.boxes_xyxy[:, 2:] - record.boxes_xyxy[:, :2]) * scale)
            labels.append(record.box_labels)
            images += [record.image_id] * len(record.box_labels)
        return InputBoxes(np.concatenate(sizes), np.concatenate(labels), tuple(images))


@dataclass(frozen=True, slots=True)
class Examination:
    """The result of examining a dataset."""

    classes: tuple[str, ...]
    image_size: ImageSize  # px
    splits: Splits
    findings: tuple[Finding, ...]
    boxes: InputBoxes  # of all readable images
    anchors: np.ndarray  # (A, 2) input px
    recall: float  # share of training boxes that an anchor can reach
    recall_per_class: Mapping[str, float]
    near: tuple[NearCopy, ...] = ()  # across splits, the most similar first
    turned: tuple[Record, ...] = ()  # stored turned, with an EXIF orientation
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # of a classifier: split -> images of each

    @property
    def exit_code(self) -> int:
        levels = {finding.level for finding in self.findings}
        return 2 if "error" in levels else 1 if "warning" in levels else 0


def some_of(names: Sequence[str]) -> str:
    """The first few names, and how many there are besides."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
