"""The data module: from a reader to the batches of a training or an evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightdet.core.annotation import Boxes
from lightdet.core.channels import CHANNELS
from lightdet.core.errors import LightdetError, demand_whole
from lightdet.core.types import Batch, Letterbox, TrainingStats
from lightdet.data.augment.pipeline import Pipeline
from lightdet.data.cache import MEGABYTE, ImageCache
from lightdet.data.dataset import ImageDataset, LetterboxedImages
from lightdet.data.groups import read_splits
from lightdet.data.image_labels import require_parts, with_image_labels
from lightdet.data.loader import BatchLoader, Position
from lightdet.data.per_class import PerClass, cut_per_class
from lightdet.data.record import Reader, Record, require_kind
from lightdet.data.sampler import EpochBatchSampler
from lightdet.ops.grid import ImageSize

MOST_WORKERS = 8
Sampling = Callable[[Sequence[np.ndarray]], np.ndarray]  # labels of each image -> how often it comes in an epoch


class ImageData(LightningDataModule):
    """Batches of a dataset's splits; training batches are shuffled and augmented.

    A training sample is a pure function of (seed, epoch, index), and the order of (seed, epoch): a training resumed in
    the middle of an epoch needs no state of this module besides the trainer's counters, with any number of workers.
    `sampling` decides how often each image occurs in an epoch of training; None: once. `bits` are those of the camera,
    for images of more than 8 bits per channel; None: chosen for each image (`read_image`). `channels` of the input: 3
    is RGB, 1 grey levels; 6 and 2 are those of an image and of its record's reference. `group` is a regular expression
    on image ids that names the groups which a split drawn by lightdet keeps whole (`read_splits`). `label` makes a
    class for each image of its boxes (`with_image_labels`); None: annotations stay as they are. `per_class` and
    `per_class_seed`: how many images of each class are trained on (`cut_per_class`); None: all. `cache_megabytes`
    bounds the letterboxed images kept in memory: training images first, then the other splits. With several ranks
    `batch_size` is shared by all of them, and every rank draws from the same order of an epoch; `num_workers` and
    `cache_megabytes` are those of one rank; `num_workers` "auto": none on a CPU, where they would take the cores of the
    training, and beside a GPU one for each CPU thread of this process, at most `MOST_WORKERS`. Batches of workers come
    through shared memory: see conf/data/base.yaml for a container that has little of it.
    """

    def __init__(
        self,
        reader: Reader,
        augment: Pipeline | None,
        image_size: ImageSize,
        batch_size: int,
        num_workers: int | str,
        cache_megabytes: int,
        seed: int,
        max_epochs: int,
        sampling: Sampling | None = None,
        bits: int | None = None,
        channels: int = 3,
        group: str | None = None,
        label: str | None = None,
        per_class: PerClass = None,
        per_class_seed: int = 0,
    ) -> None:
        super().__init__()
        if num_workers == "auto":
            num_workers = min(MOST_WORKERS, torch.get_num_threads()) if torch.cuda.is_available() else 0
        for name, value, least in (
            *(("image_size", side, 1) for side in _sides(image_size)),
            ("data.batch_size", batch_size, 1),
            ("data.num_workers", num_workers, 0),
            ("data.cache_megabytes", cache_megabytes, 0),
            ("seed", seed, 0),
            ("data.per_class_seed", per_class_seed, 0),
        ):
            demand_whole(name, value, least)
        if isinstance(channels, bool) or channels not in CHANNELS:
            raise LightdetError(f"channels={channels}: 3 (colour), 1 (grey), 6 or 2 (the same with a reference image)")
        self.reader = reader
        self.augment = augment
        self.image_size = image_size
        self.batch_size = batch_size
        self.num_workers = int(num_workers)
        self.cache_megabytes = cache_megabytes
        self.seed = seed
        self.max_epochs = max_epochs
        self.sampling = sampling
        self.bits = bits
        self.channels = channels
        self.group = group
        self.label = label
        self.per_class = per_class
        self.per_class_seed = per_class_seed
        self.channels_last = True  # memory layout of the batches that a trainer gets
        self.records: dict[str, list[Record]] = {}
        self.told: tuple[str, ...] = ()  # after `setup`: what `per_class` left out
        self._classes: tuple[str, ...] = ()
        self._images: dict[str, LetterboxedImages] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label; where `label` makes classes of images, the records are read for them."""
        if self.label is None:
            return self.reader.classes
        self.setup()
        return self._classes

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def trained_size(self) -> ImageSize:
        """Size of the training images, px; with windows the size of a window."""
        window = None if self.augment is None else self.augment.window
        if window is None:
            return self.image_size
        if isinstance(self.image_size, int):
            return window.side(self.image_size)
        return [window.side(side) for side in self.image_size]

    def setup(self, stage: str | None = None) -> None:
        """Read the records, once. Raises LightdetError for unusable data."""
        if self.records:
            return
        cv2.setNumThreads(0)  # one image costs less than waking OpenCV's threads, which also would not survive a fork
        records = read_splits(self.reader, self.bits, self.group)
        for split in ("train", "val"):
            if not records.get(split):
                raise LightdetError(f"the dataset has no images to use as '{split}'; check its split files")
        if self.label is not None:
            records, self._classes = with_image_labels(records, self.reader.classes, self.label)
        if self.augment is not None and self.augment.mosaic is not None:
            require_kind({"train": records["train"]}, Boxes, "augment.mosaic, which joins four images,")
        if self.augment is not None and self.augment.window is not None:
            require_parts(records["train"])
        if self.per_class is not None:
            classes = self._classes or self.reader.classes
            kept, self.told = cut_per_class(records["train"], classes, self.per_class, self.per_class_seed)
            records = {**records, "train": kept}
        left = self.cache_megabytes * MEGABYTE
        for split in sorted(records, key=lambda name: name != "train"):
            cache = ImageCache(len(records[split]), self.image_size, left, self.channels)
            left -= cache.reserved_bytes
            self._images[split] = LetterboxedImages(records[split], self.image_size, cache, self.channels)
        self.records = records

    def train_dataloader(self) -> BatchLoader:
        """This rank's share, shuffled and augmented. With the trainer's `overfit_batches`: always the same first
        images, without augmentation."""
        if self._overfits():
            return self._plain("train", *self._rank(), position=self._position)
        mosaic = None if self.augment is None else self.augment.mosaic
        if mosaic is not None and 0 <= self.max_epochs <= mosaic.closing_epochs:
            rank_zero_warn(
                f"no mosaic will be drawn: augment.mosaic.closing_epochs={mosaic.closing_epochs} covers all "
                f"{self.max_epochs} epochs"
            )
        dataset = ImageDataset(self._split("train"), self.augment, self.seed, self.max_epochs)
        repeats = self.sampling([record.labels for record in dataset.images.records]) if self.sampling else None
        if repeats is not None and (repeats == 1).all():
            rank_zero_warn("data/sampling repeats no image: no class is rarer than its threshold; raise it")
        rank, ranks = self._rank()
        sampler = EpochBatchSampler(
            len(dataset), self.batch_size, self.seed, True, drop_last=True, repeats=repeats, rank=rank, ranks=ranks
        )
        return BatchLoader(dataset, sampler, self.num_workers, self._position)

    def val_dataloader(self) -> BatchLoader:
        """This rank's share. With the trainer's `overfit_batches`: of the images that are trained on."""
        return self._plain("train" if self._overfits() else "val", *self._rank(), even=False)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Lightning's hook: images become float32 on the device. Batches are made in channels last."""
        moved = batch.to(device)
        return moved if self.channels_last else replace(moved, images=moved.images.contiguous())

    def loader(self, split: str) -> BatchLoader:
        """All images of a split, in their order, letterboxed and without augmentation; needs no trainer. A detector
        takes `batch.images_on(device)`."""
        return self._plain(split)

    def check_ranks(self, ranks: int) -> None:
        """Raises LightdetError for batches or splits that cannot be divided among so many ranks."""
        if self.batch_size % ranks:
            raise LightdetError(
                f"data.batch_size={self.batch_size} is shared by {ranks} ranks (trainer.devices x trainer.nodes): "
                f"give a multiple of {ranks}"
            )
        for split in ("train", "val"):
            if len(self._split(split)) < ranks:
                raise LightdetError(
                    f"{len(self._split(split))} images in '{split}' for {ranks} ranks (trainer.devices x "
                    "trainer.nodes): take fewer ranks"
                )

    def _plain(
        self, split: str, rank: int = 0, ranks: int = 1, even: bool = True, position: Position = lambda: (0, 0)
    ) -> BatchLoader:
        dataset = ImageDataset(self._split(split), None, self.seed, self.max_epochs)
        sampler = EpochBatchSampler(
            len(dataset), self.batch_size, self.seed, False, drop_last=False, rank=rank, ranks=ranks, even=even
        )
        return BatchLoader(dataset, sampler, self.num_workers, position)

    def training_stats(self) -> TrainingStats:
        """The statistics of the training set that a model gets before its first step. Decodes no image."""
        labels = torch.cat([torch.as_tensor(record.labels) for record in self._split("train").records])
        counts = torch.bincount(labels.long(), minlength=self.num_classes)
        return TrainingStats(self.box_sizes(), counts, tuple(self.classes))

    def placings(self, split: str) -> list[Letterbox]:
        """How each image of a split lies in the input. At most its file's header is read."""
        images = self._split(split)
        return [images.letterbox(index) for index in range(len(images))]

    def box_sizes(self) -> Tensor:
        """(N, 2) float32: width and height of the training set's boxes, px, input frame. Decodes no image."""
        images = self._split("train")
        sizes = [torch.zeros(0, 2)]
        for index, record in enumerate(images.records):
            boxes = torch.tensor(record.boxes_xyxy, dtype=torch.float32).reshape(-1, 4)
            if len(boxes):
                placed = images.letterbox(index)
                sizes.append((boxes[:, 2:] - boxes[:, :2]) * torch.tensor([placed.scale_x, placed.scale_y]))
        return torch.cat(sizes)

    def _split(self, split: str) -> LetterboxedImages:
        self.setup()
        if split not in self._images:
            raise LightdetError(f"split={split}: this dataset has {', '.join(self._images)}")
        return self._images[split]

    def _overfits(self) -> bool:
        return self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]

    def _rank(self) -> tuple[int, int]:
        """The rank of this process, and the number of ranks."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _position(self) -> tuple[int, int]:
        """The epoch in force and how many of its batches the trainer has seen: a prefetched batch does not count."""
        if self.trainer is None:
            return 0, 0
        loop = self.trainer.fit_loop
        epoch: int = loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        return epoch, loop.epoch_loop.batch_progress.current.ready


def _sides(image_size: object) -> Sequence[object]:
    """The sides that a setting names: one, or two."""
    return image_size if isinstance(image_size, Sequence) and not isinstance(image_size, str) else [image_size]
