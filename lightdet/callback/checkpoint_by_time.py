"""A checkpoint inside an epoch, so that a long epoch is not lost to a power cut."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint


class CheckpointByTime(ModelCheckpoint):
    """Writes `<folder>/<filename>.ckpt` when `seconds` have passed since it did so last.

    Never at the last batch of an epoch: Lightning would resume such a checkpoint in the next epoch and leave out this
    one's validation; the checkpoint at the epoch's end follows at once. Nor between two accumulated batches, whose
    gradients no checkpoint holds.
    """

    def __init__(self, folder: Path, filename: str, seconds: float) -> None:
        super().__init__(
            folder, filename=filename, train_time_interval=timedelta(seconds=seconds), enable_version_counter=False
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
