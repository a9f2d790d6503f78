"""Writes the progress of a training into the run's status file, for launchers and for `lightdet study`."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightdet.core.score import Monitor
from lightdet.runs.folder import BEAT, RunFolder


class Heartbeat(Callback):
    """Every `seconds` at most, after a batch: epoch (from 1), epochs, step, share done (0..1), best `monitor` so far.

    It is written by the training itself and not by a thread beside it, so it stops when the training hangs.
    """

    def __init__(self, folder: RunFolder, monitor: Monitor, seconds: float = BEAT) -> None:
        self.folder = folder
        self.monitor = monitor
        self.seconds = seconds
        self._last = 0.0
        self._best: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the best value of earlier processes, and records from which epoch this one continues."""
        best = self.folder.read_status().get("best")
        self._best = float(best) if isinstance(best, int | float) else None
        self._beat(trainer, 0.0, share_at_start=trainer.current_epoch / (trainer.max_epochs or 1))
        self._last = 0.0  # the first step is written at once

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._beat(trainer, (batch_idx + 1) / max(1, trainer.num_training_batches))

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        self._beat(trainer, 1.0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the end of every epoch, whenever the last beat was."""
        value = trainer.callback_metrics.get(self.monitor.log_name)
        if value is not None and self.monitor.better(float(value), self._best):
            self._best = float(value)
        self._last = 0.0
        self._beat(trainer, 1.0)

    def _beat(self, trainer: Trainer, share_of_epoch: float, **more: float) -> None:
        clock = time.monotonic()
        if not trainer.is_global_zero or (self._last and clock - self._last < self.seconds):
            return
        self._last = clock
        epochs = trainer.max_epochs or 1
        share = min(1.0, (trainer.current_epoch + share_of_epoch) / epochs)
        progress = {"epoch": trainer.current_epoch + 1, "epochs": epochs, "step": trainer.global_step, "share": share}
        self.folder.write_status("running", **progress, best=self._best, monitor=self.monitor.log_name, **more)
