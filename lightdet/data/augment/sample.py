"""One letterboxed image with its ground truth, and the rule for which boxes survive a change of it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(slots=True)
class Sample:
    """Pixels and ground truth in the same frame. The arrays may be views of a cache: never write into them."""

    image: np.ndarray  # (H, W, channels) uint8
    boxes_xyxy: np.ndarray  # (N, 4) float32, px, frame of `image`
    labels: np.ndarray  # (N,) int64
    mask: np.ndarray | None = None  # (H, W) uint8, of an image that is annotated by one


class Source(Protocol):
    """Where an augmentation takes its images from; a mosaic takes more than one."""

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample: ...


def part(sample: Sample, left: int, top: int, width: int, height: int) -> Sample:
    """A part of the image (px), a view, with all boxes in its frame; `cut_boxes` decides which of them stay."""
    rows, columns = slice(top, top + height), slice(left, left + width)
    boxes_xyxy = sample.boxes_xyxy - np.asarray([left, top, left, top], dtype=np.float32)
    mask = None if sample.mask is None else sample.mask[rows, columns]
    return Sample(sample.image[rows, columns], boxes_xyxy, sample.labels, mask)


def cut_boxes(sample: Sample, min_visible: float, min_side: float) -> Sample:
    """Boxes cut at the image's border; those with less than the share `min_visible` (0..1) of their area left inside,
    or with a side under `min_side` px, are dropped with their labels."""
    boxes = sample.boxes_xyxy
    if not len(boxes):
        return sample
    height, width = sample.image.shape[:2]
    inside = np.clip(boxes, 0, np.asarray([width, height, width, height], dtype=np.float32))
    sides = inside[:, 2:] - inside[:, :2]
    whole_area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    kept = (sides.prod(axis=1) >= min_visible * whole_area) & (sides.min(axis=1) >= min_side)
    return Sample(sample.image, inside[kept], sample.labels[kept], sample.mask)
