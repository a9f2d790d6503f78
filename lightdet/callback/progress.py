"""Progress of a training: a bar in a terminal, one line per epoch in logs and pipes."""

import time
from collections.abc import Sequence
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, RichProgressBar

from lightdet.core.score import Score, leading


class EpochBar(RichProgressBar):
    """Lightning's bar, with epochs counted from 1 as everywhere else."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"


class EpochLines(Checkpoint):
    """Prints epoch, losses, the leading scores where it was validated, seconds and time left.

    A Checkpoint to Lightning, which calls those last, after the module has logged the losses of the epoch.
    """

    def __init__(self, scores: Sequence[Score]) -> None:
        self.scores = leading(scores)
        self._began = 0.0
        self._first_epoch = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.monotonic()
        self._first_epoch = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        values: dict[str, Any] = {name: float(value) for name, value in trainer.callback_metrics.items()}
        done = trainer.current_epoch + 1
        per_epoch = (time.monotonic() - self._began) / max(1, done - self._first_epoch)
        left = per_epoch * ((trainer.max_epochs or done) - done)
        losses = "".join(f"  {n.removeprefix('train/')} {v:.4f}" for n, v in values.items() if n.startswith("train/"))
        validated = done % (trainer.check_val_every_n_epoch or 1) == 0
        scores = "".join(
            f"  {score.title} {values[score.log_name]:.3f}"
            for score in self.scores
            if validated and score.log_name in values
        )
        print(
            f"epoch {done}/{trainer.max_epochs}{losses}{scores}  {per_epoch:.1f} s/epoch  {_clock(left)} left",
            flush=True,
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
