"""Batches from a dataset, from the current position of a training on."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch, Target
from lightdet.data.dataset import ImageDataset
from lightdet.data.sampler import EpochBatchSampler

Position = Callable[[], tuple[int, int]]  # -> (epoch, number of its batches that are already done)


class BatchLoader:
    """Iterates over one epoch of batches; its length is that of a whole epoch.

    `position` is called when the first batch is requested, not before: Lightning creates the iterator of a resumed
    epoch while its own counters are still those of the checkpoint, and workers would start to prefetch at once.
    """

    def __init__(self, dataset: ImageDataset, sampler: EpochBatchSampler, num_workers: int, position: Position) -> None:
        self.dataset = dataset
        self._sampler = sampler
        self._position = position
        self._batches: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=collate,
            num_workers=num_workers,
            worker_init_fn=_start_worker,
            persistent_workers=num_workers > 0,
            generator=torch.Generator(),  # every iterator draws a seed; the global random numbers belong to training
            multiprocessing_context=_context() if num_workers > 0 else None,
        )

    def __len__(self) -> int:
        return len(self._sampler)

    @property
    def _iterator(self) -> Any:
        """The running iterator: under this name Lightning looks for workers to stop when a training ends or fails."""
        return self._batches._iterator

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        self._batches._iterator = iterator

    def state_dict(self) -> dict[str, int]:
        """What the order of the images depends on; the position in it belongs to the trainer."""
        sampler = self._sampler
        return {"images": sampler.count, "batch_size": sampler.batch_size, "seed": sampler.seed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Raises LightdetError when a training of other data is to be resumed: its order could not be kept."""
        changed = [
            f"{name} {state.get(name)} -> {now}" for name, now in self.state_dict().items() if state.get(name) != now
        ]
        if changed:
            raise LightdetError(
                f"cannot resume, the training data is not what it was ({', '.join(changed)}); "
                "put it back, or start a new run under another study"
            )

    def __iter__(self) -> Iterator[Batch]:
        self._sampler.begin(*self._position())
        yield from self._batches


def collate(samples: list[tuple[np.ndarray, Target]]) -> Batch:
    """Images (H, W, C) uint8 -> (B, C, H, W) uint8, in channels-last memory format.

    Workers send them through shared memory, of which a container has little; `Batch.to` makes them float32.
    """
    stacked = torch.from_numpy(np.stack([image for image, _ in samples]))
    return Batch(stacked.permute(0, 3, 1, 2), [target for _, target in samples])


def _start_worker(worker: int) -> None:
    cv2.setNumThreads(0)


def _context() -> str | None:
    """Workers are forked where that is possible and safe, so that they share the cache of images."""
    return "fork" if "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin" else None
