"""Exponential moving average of the weights: what is validated, saved as the result, and deployed."""

import math
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightdet.core.errors import LightdetError, demand_whole

CHECKPOINT_KEY = "ema"


class Ema(Callback):
    """Averages the model's weights after every optimizer step and validates with the average.

    The decay grows with the steps: decay * (1 - exp(-step / ramp_steps)), so that early weights are forgotten.
    The checkpoint holds the average under "ema": {"weights": state of the model, "steps": int}. Raises LightdetError
    for a decay outside of 0 to 1 and a ramp below one step.
    """

    def __init__(self, decay: float, ramp_steps: int) -> None:
        if not 0 <= decay < 1:
            raise LightdetError(f"trainer.ema_decay={decay}: give a number from 0, the live weights, to below 1")
        demand_whole("trainer.ema_ramp_steps", ramp_steps, 1)
        self.decay = decay
        self.ramp_steps = ramp_steps
        self.weights: dict[str, Tensor] = {}
        self.steps = 0
        self._lent: dict[str, Tensor] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        live = _model(pl_module).state_dict()
        if not self.weights:
            self.weights = {name: value.detach().clone() for name, value in live.items()}
        # What the checkpoint of a resumed training does not have is younger than it.
        self.weights = {name: self.weights.get(name, value.clone()).to(value.device) for name, value in live.items()}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step == self.steps:  # a batch that only accumulated
            return
        self.steps = trainer.global_step
        keep = self.decay * (1 - math.exp(-self.steps / self.ramp_steps))
        live = _model(pl_module).state_dict()
        floating = [name for name, value in live.items() if value.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([self.weights[n] for n in floating], [live[n] for n in floating], 1 - keep)
            for name, value in live.items():
                if not value.is_floating_point():
                    self.weights[name].copy_(value)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.weights:  # validation outside a fit
            return
        live = _model(pl_module).state_dict()
        self._lent = {name: value.clone() for name, value in live.items()}
        _model(pl_module).load_state_dict(self.weights)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._lent is not None:
            _model(pl_module).load_state_dict(self._lent)
            self._lent = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.on_validation_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[CHECKPOINT_KEY] = {"weights": self.weights, "steps": self.steps}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.weights = checkpoint[CHECKPOINT_KEY]["weights"]
        self.steps = checkpoint[CHECKPOINT_KEY]["steps"]


def _model(task: LightningModule) -> nn.Module:
    model = task.model
    assert isinstance(model, nn.Module)
    return model
