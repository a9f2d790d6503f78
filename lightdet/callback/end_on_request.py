"""Ends a training early when its run folder holds a request to end; a search prunes with it, under any launcher."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightdet.core.errors import Ended
from lightdet.runs.folder import RunFolder


class EndOnRequest(Callback):
    """Reads the request after a batch, at most once in `seconds`, and after every epoch; raises Ended for one.

    The last checkpoint stays, so that the run can be continued. Several ranks must end together, so they read the
    request after an epoch only.
    """

    def __init__(self, folder: RunFolder, seconds: float = 1.0) -> None:
        self.folder = folder
        self.seconds = seconds
        self._last = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        clock = time.monotonic()
        if trainer.world_size == 1 and clock - self._last >= self.seconds:
            self._last = clock
            self._end(self.folder.end_reason())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """All ranks get what rank 0 reads."""
        self._end(trainer.strategy.broadcast(self.folder.end_reason() if trainer.is_global_zero else None))

    @staticmethod
    def _end(reason: str | None) -> None:
        if reason is not None:
            raise Ended(reason)
