"""A sign of life in the run's status file, for whoever watches the study from outside."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightdet.runs.folder import BEAT, RunFolder


class Heartbeat(Callback):
    """Every `seconds` at most, after a batch: epoch (from 1), epochs, step, share done (0..1), best `monitor` so far.

    It comes from the training itself and not from a thread beside it, so it stops when the training hangs.
    """

    def __init__(self, folder: RunFolder, monitor: str, seconds: float = BEAT) -> None:
        self.folder = folder
        self.monitor = monitor
        self.seconds = seconds
        self._last = 0.0
        self._best: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the best of earlier processes, and note from where this one goes on."""
        best = self.folder.read_status().get("best")
        self._best = float(best) if isinstance(best, int | float) else None
        self._beat(trainer, 0.0, share_at_start=trainer.current_epoch / (trainer.max_epochs or 1))
        self._last = 0.0  # the first step is told at once

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._beat(trainer, (batch_idx + 1) / max(1, trainer.num_training_batches))

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        self._beat(trainer, 1.0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch is always told."""
        value = trainer.callback_metrics.get(self.monitor)
        if value is not None:
            self._best = max(float(value), self._best if self._best is not None else float(value))
        self._last = 0.0
        self._beat(trainer, 1.0)

    def _beat(self, trainer: Trainer, share_of_epoch: float, **more: float) -> None:
        clock = time.monotonic()
        if not trainer.is_global_zero or (self._last and clock - self._last < self.seconds):
            return
        self._last = clock
        epochs = trainer.max_epochs or 1
        share = min(1.0, (trainer.current_epoch + share_of_epoch) / epochs)
        facts = {"epoch": trainer.current_epoch + 1, "epochs": epochs, "step": trainer.global_step, "share": share}
        self.folder.write_status("running", **facts, best=self._best, monitor=self.monitor, **more)
