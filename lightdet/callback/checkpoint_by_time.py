"""A checkpoint inside an epoch, so that a long epoch is not lost to a power cut."""

import time
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

LARGEST_SHARE = 1 / 20  # of a training's time that goes into these checkpoints


class CheckpointByTime(Checkpoint):
    """Writes `path` when `seconds` have passed since it did so last; 0: after every step.

    Where writing takes long, a large model on a slow disk, it waits longer: until `LARGEST_SHARE` is kept.

    Never at the last batch of an epoch: Lightning would resume such a checkpoint in the next epoch and leave out this
    one's validation; the checkpoint at the epoch's end follows at once. Nor between two accumulated batches, whose
    gradients no checkpoint holds.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self.seconds = seconds
        self._wait = seconds
        self._written = 0.0  # s of the monotonic clock

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._written = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        began = time.monotonic()
        if not trainer.strategy.broadcast(began - self._written >= self._wait):  # the clocks of ranks differ
            return
        trainer.save_checkpoint(self.path)
        self._written = time.monotonic()
        if self.seconds:
            self._wait = max(self.seconds, (self._written - began) / LARGEST_SHARE)
