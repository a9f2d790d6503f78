"""Samples from records: images are read, letterboxed, kept in memory and augmented."""

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightdet.core.annotation import ClassLabel, LabelSet, Mask
from lightdet.core.errors import LightdetError
from lightdet.core.types import Letterbox, Target
from lightdet.data.augment.pipeline import Pipeline
from lightdet.data.augment.sample import Sample
from lightdet.data.cache import ImageCache, shared_zeros
from lightdet.data.image import original_size, read_mask
from lightdet.data.record import Record, read_pixels
from lightdet.ops.frames import boxes_to_input
from lightdet.ops.grid import ImageSize
from lightdet.ops.letterbox import letterbox_image, letterbox_mask, place

_NO_CROWD = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


class LetterboxedImages:
    """The letterboxed images of a split without augmentation: the source of augmentations."""

    def __init__(self, records: Sequence[Record], image_size: ImageSize, cache: ImageCache, channels: int = 3) -> None:
        self.records = list(records)
        self.image_size = image_size
        self.channels = channels
        self.cache = cache
        self._boxes: dict[int, np.ndarray] = {}  # (N, 4) float32, input px
        self._original_sizes = shared_zeros((len(self.records), 2), np.int32)  # height, width, px; 0 = not known yet

    def __len__(self) -> int:
        return len(self.records)

    def sample(self, index: int) -> Sample:
        """Image `index` in the input frame. Raises LightdetError for an image that cannot be read."""
        record = self.records[index]
        image = self.cache.get(index)
        if image is None:
            original = read_pixels(record, self.channels)
            self._original_sizes[index] = original.shape[:2]
            image, _ = letterbox_image(original, self.image_size)
            self.cache.put(index, image)
        if index not in self._boxes:
            boxes = torch.tensor(record.boxes_xyxy, dtype=torch.float32).reshape(-1, 4)
            self._boxes[index] = boxes_to_input(boxes, self.letterbox(index)).numpy()
        return Sample(image, self._boxes[index], record.box_labels, self._mask(index))

    def crowd(self, index: int) -> tuple[Tensor, Tensor]:
        """The crowd regions of image `index`, (K, 4) float32 in input px, and their labels (K,)."""
        boxes = self.records[index].boxes
        if boxes is None or not len(boxes.crowd_labels):
            return _NO_CROWD
        regions = _tensor(boxes.crowd_xyxy, torch.float32).reshape(-1, 4)
        return boxes_to_input(regions, self.letterbox(index)), _tensor(boxes.crowd_labels, torch.int64)

    def _mask(self, index: int) -> np.ndarray | None:
        """(H, W) uint8, input px, of an image that is annotated by a mask; read anew each time."""
        annotation = self.records[index].annotation
        if not isinstance(annotation, Mask):
            return None
        mask, placed = read_mask(annotation.path), self.letterbox(index)
        if mask.shape != (placed.original_height, placed.original_width):
            raise LightdetError(
                f"{annotation.path}: the mask has {mask.shape[1]} x {mask.shape[0]} px, and its image "
                f"{placed.original_width} x {placed.original_height} px; make them equal"
            )
        return letterbox_mask(mask, self.image_size)

    def letterbox(self, index: int) -> Letterbox:
        """How image `index` is placed in the input; at most its file's header is read."""
        if not self._original_sizes[index].all():
            self._original_sizes[index] = original_size(self.records[index].path)
        height, width = self._original_sizes[index].tolist()
        return place(height, width, self.image_size)


class ImageDataset(Dataset[tuple[np.ndarray, Target]]):
    """Samples by (epoch, index), each a pure function of these two and of the seed.

    Without `augment` the epoch changes nothing. An index beyond the images is a further copy of image `index % count`,
    augmented differently. From `max_epochs` augmentations know the epochs that are left; -1 = no end.
    """

    def __init__(self, images: LetterboxedImages, augment: Pipeline | None, seed: int, max_epochs: int) -> None:
        self.images = images
        self.augment = augment
        self.seed = seed
        self.max_epochs = max_epochs

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, Target]:
        """(H, W, channels) uint8 and its target in the same frame."""
        epoch, copy = key
        index = copy % len(self.images)
        if self.augment is None:
            sample = self.images.sample(index)
        else:
            generator = np.random.default_rng([self.seed, epoch, copy])
            epochs_left = self.max_epochs - epoch if self.max_epochs >= 0 else sys.maxsize
            sample = self.augment(self.images, index, generator, epochs_left)
        record = self.images.records[index]
        crowd_xyxy, crowd_labels = self.images.crowd(index) if self.augment is None else _NO_CROWD
        target = Target(
            boxes_xyxy=_tensor(sample.boxes_xyxy, torch.float32).reshape(-1, 4),
            labels=_tensor(sample.labels, torch.int64).reshape(-1),
            image_id=record.image_id,
            letterbox=self.images.letterbox(index),
            domain=record.domain,
            class_label=record.annotation.label if isinstance(record.annotation, ClassLabel) else None,
            label_set=record.annotation.labels if isinstance(record.annotation, LabelSet) else None,
            mask=None if sample.mask is None else _tensor(sample.mask, torch.uint8),
            crowd_xyxy=crowd_xyxy,
            crowd_labels=crowd_labels,
        )
        return sample.image, target


def _tensor(values: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=dtype)
