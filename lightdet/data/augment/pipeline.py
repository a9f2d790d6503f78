"""Image augmentation: an optional window, an optional mosaic, then albumentations transforms one after another.

Albumentations is kept behind this folder. Its `Compose` is left out on purpose: seeded, it gives every transform the
same random numbers (a horizontal and a vertical flip then always come together), and it costs 0.2 ms an image.
"""

import os
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.data.augment.mosaic import Mosaic
from lightdet.data.augment.sample import Sample, Source, cut_boxes
from lightdet.data.augment.window import Window

# Read by albumentations when it is imported: no look on the network for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

Transform = Callable[..., dict[str, Any]]  # an albumentations transform: (image=..., bboxes=...) -> the same keys


class Pipeline:
    """What happens to a training image; a pure function of the sample and of the random generator it is given.

    `window`: what is seen of each image; None: the whole. `mosaic`: made of what is seen. `transforms`: albumentations
    transforms that keep the size, applied last; where they have turned a sample that is not square, a further quarter
    turn gives it its shape again, which leaves mirrors and half turns of all turns. `min_visible`, `min_side` (px):
    which boxes stay, see `cut_boxes`. Raises LightdetError for transforms that change the size.
    """

    def __init__(
        self,
        transforms: Sequence[Transform],
        mosaic: Mosaic | None = None,
        min_visible: float = 0.2,
        min_side: float = 2.0,
        window: Window | None = None,
    ) -> None:
        self.transforms = list(transforms)
        self.mosaic = mosaic
        self.min_visible = min_visible
        self.min_side = min_side
        self.window = window

    def __call__(self, source: Source, index: int, generator: np.random.Generator, epochs_left: int) -> Sample:
        """Image `index` of `source`, changed. `epochs_left` counts the epoch in force."""
        sample = None
        if self.window is not None:
            source = self.window.over(source, generator)
        if self.mosaic is not None:
            sample = self.mosaic(source, index, generator, epochs_left)
        if sample is None:
            sample = source.sample(index)
        if self.transforms:
            sample = self._transform(sample, generator)
        return cut_boxes(sample, self.min_visible, self.min_side)

    def _transform(self, sample: Sample, generator: np.random.Generator) -> Sample:
        _share_randomness(self.transforms, generator, random.Random(int(generator.integers(2**63))))
        height, width = sample.image.shape[:2]
        size = np.asarray([width, height, width, height], dtype=np.float32)
        count = len(sample.boxes_xyxy)
        # The format inside albumentations: corners as shares of the image, then columns that are carried along.
        boxes = np.empty((count, 5), dtype=np.float32)
        boxes[:, :4] = sample.boxes_xyxy / size
        boxes[:, 4] = np.arange(count)
        # A copy: some transforms write into what they are given, which may belong to the cache.
        data: dict[str, Any] = {"image": sample.image.copy(), "bboxes": boxes}
        if sample.mask is not None:
            data["mask"] = sample.mask.copy()
        for transform in self.transforms:
            data = transform(**data)
        boxes = np.asarray(data["bboxes"], dtype=np.float32).reshape(-1, 5)
        labels = sample.labels[boxes[:, 4].astype(np.int64)]
        image, shares, mask = data["image"], boxes[:, :4], data.get("mask")
        if image.shape[:2] == (width, height) != (height, width):
            image, shares, mask = _quarter_turn(image, shares, mask)
        if image.shape[:2] != (height, width):
            now = f"{image.shape[1]} x {image.shape[0]}"
            raise LightdetError(
                f"augment.transforms: they make {now} px of {width} x {height}; take transforms that keep the size"
            )
        return Sample(image, shares * size, labels, mask)


def _quarter_turn(
    image: np.ndarray, shares: np.ndarray, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Image (H, W, C), corners of boxes (N, 4) as shares of it, and mask (H, W), turned against the clock."""
    left, top, right, bottom = shares.T
    turned = np.stack((top, 1 - right, bottom, 1 - left), axis=1)
    return np.ascontiguousarray(np.rot90(image)), turned, None if mask is None else np.ascontiguousarray(np.rot90(mask))


def _share_randomness(transforms: Iterable[Any], generator: np.random.Generator, py_random: random.Random) -> None:
    """One stream of random numbers for all transforms, those inside `OneOf` and the like included."""
    for transform in transforms:
        transform.random_generator = generator
        transform.py_random = py_random
        _share_randomness(getattr(transform, "transforms", ()), generator, py_random)
