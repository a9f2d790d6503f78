"""Estimates the duration of a training from its first steps; the lines per epoch appear only after an epoch."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

WARM_UP = 3  # batches that are not timed
LEAST_BATCHES, LEAST_SECONDS = 5, 10.0  # that are timed
LONG = 600.0  # seconds from which on a training is announced as a long one


class Estimate(Callback):
    """Prints "about 2 h 10 min for 40 epochs, validation apart" once, where a training takes more than ten minutes."""

    def __init__(self) -> None:
        self._batches = 0
        self._began: float | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._batches < 0 or not trainer.is_global_zero:
            return
        self._batches += 1
        if self._batches == WARM_UP:
            self._began = time.monotonic()
        timed = self._batches - WARM_UP
        if self._began is None or timed < LEAST_BATCHES or (passed := time.monotonic() - self._began) < LEAST_SECONDS:
            return
        self._batches = -1
        epochs = (trainer.max_epochs or 1) - trainer.current_epoch
        left = epochs * int(trainer.num_training_batches) - (batch_idx + 1)
        if (seconds := passed / timed * left) > LONG:
            print(f"  time       about {in_words(seconds)} for {epochs} epochs, validation apart", flush=True)


def in_words(seconds: float) -> str:
    """Rounded as an estimate is: "12 min", "2 h 10 min", "3 d 4 h"."""
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(round(minutes / 10) * 10, 60)
    days, rest = divmod(hours, 24)
    return f"{days} d {rest} h" if days else f"{hours} h {minutes} min" if minutes else f"{hours} h"
