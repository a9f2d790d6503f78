"""From records to samples: photos read, letterboxed, kept in memory, augmented."""

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightdet.core.types import Letterbox, Target
from lightdet.data.augment.pipeline import Pipeline
from lightdet.data.augment.sample import Sample
from lightdet.data.cache import ImageCache, shared_zeros
from lightdet.data.image import photo_size, read_photo
from lightdet.data.record import Record
from lightdet.ops.letterbox import boxes_to_input, letterbox_image, place


class Photos:
    """The letterboxed photos of a split, as they are: the source of augmentations."""

    def __init__(self, records: Sequence[Record], image_size: int, cache: ImageCache) -> None:
        self.records = list(records)
        self.image_size = image_size
        self.cache = cache
        self._boxes: dict[int, np.ndarray] = {}  # (N, 4) float32, px, input frame
        self._photo_sizes = shared_zeros((len(self.records), 2), np.int32)  # height, width, px; 0 = not known yet

    def __len__(self) -> int:
        return len(self.records)

    def sample(self, index: int) -> Sample:
        """Photo `index` in the input frame. Raises LightdetError for a photo that cannot be read."""
        record = self.records[index]
        image = self.cache.get(index)
        if image is None:
            photo = read_photo(record.path, record.bits)
            self._photo_sizes[index] = photo.shape[:2]
            image, _ = letterbox_image(photo, self.image_size)
            self.cache.put(index, image)
        if index not in self._boxes:
            boxes = torch.tensor(record.boxes_xyxy, dtype=torch.float32).reshape(-1, 4)
            self._boxes[index] = boxes_to_input(boxes, self.letterbox(index)).numpy()
        return Sample(image, self._boxes[index], record.labels)

    def letterbox(self, index: int) -> Letterbox:
        """How photo `index` is placed in the input; at most its file's header is read."""
        if not self._photo_sizes[index].all():
            self._photo_sizes[index] = photo_size(self.records[index].path)
        height, width = self._photo_sizes[index].tolist()
        return place(height, width, self.image_size)


class DetectionDataset(Dataset[tuple[np.ndarray, Target]]):
    """Samples by (epoch, index), each a pure function of these two and of the seed.

    Without `augment` the epoch changes nothing. An index beyond the photos is a further copy of photo `index % count`,
    augmented in its own way. `max_epochs` tells augmentations how near the end is; -1 = no end.
    """

    def __init__(self, photos: Photos, augment: Pipeline | None, seed: int, max_epochs: int) -> None:
        self.photos = photos
        self.augment = augment
        self.seed = seed
        self.max_epochs = max_epochs

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, Target]:
        """(S, S, 3) uint8 RGB and its target in the same frame."""
        epoch, copy = key
        index = copy % len(self.photos)
        if self.augment is None:
            sample = self.photos.sample(index)
        else:
            generator = np.random.default_rng([self.seed, epoch, copy])
            epochs_left = self.max_epochs - epoch if self.max_epochs >= 0 else sys.maxsize
            sample = self.augment(self.photos, index, generator, epochs_left)
        target = Target(
            boxes_xyxy=_tensor(sample.boxes_xyxy, torch.float32).reshape(-1, 4),
            labels=_tensor(sample.labels, torch.int64).reshape(-1),
            image_id=self.photos.records[index].image_id,
            letterbox=self.photos.letterbox(index),
        )
        return sample.image, target


def _tensor(values: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=dtype)
