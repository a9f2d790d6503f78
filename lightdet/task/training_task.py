"""Trains a model of any task: knows the `Model` contract and nothing about any model."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from lightdet.callback.ema import Ema
from lightdet.core.errors import LightdetError
from lightdet.core.score import logged, primary_of
from lightdet.core.types import Batch
from lightdet.distributed.gather import gather
from lightdet.model.contract import Model
from lightdet.optim.groups import parameter_groups
from lightdet.optim.kernel import use_fused_kernel
from lightdet.optim.schedule import WarmupCosine
from lightdet.task.extra_training import ExtraTraining

EXPLODED = 1e4  # a loss above this is no longer learning
FIRST_NAME = "detector."  # prefix of the model's weights in the checkpoints of 0.1.0


class TrainingTask(LightningModule):
    """Adds up the model's loss terms, logs them by name, and computes the scores of the model's metric.

    `optimizer(groups)` builds the optimizer; `failure_folder` receives the batch that broke a training; `extras` are
    trained beside the model. Of several ranks, each adds up the loss of its share of a batch; gradients and the logged
    terms are means over the ranks, and the scores are those of all images.
    """

    def __init__(
        self,
        model: Model,
        classes: Sequence[str],
        optimizer: Callable[..., Optimizer],
        schedule: WarmupCosine,
        failure_folder: Path,
        extras: Sequence[ExtraTraining] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.extras = nn.ModuleList(extras)
        self.build_optimizer = optimizer
        self.schedule = schedule
        self.failure_folder = failure_folder
        self.metric = model.metric(classes)
        self.sums: dict[str, float] = {}
        self.batches = 0
        self.random_states: dict[str, Tensor] = {}  # of a checkpoint, until the training continues

    def setup(self, stage: str) -> None:
        """Gives every rank different random numbers; those of rank 0 stay."""
        if self.global_rank:
            mixed = np.random.SeedSequence([torch.initial_seed(), self.global_rank])
            torch.manual_seed(int(mixed.generate_state(1)[0]))

    def configure_optimizers(self) -> Any:
        groups = [group for trained in (self.model, *self.extras) for group in parameter_groups(trained)]
        optimizer = self.build_optimizer(groups)
        use_fused_kernel(optimizer)
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = math.ceil(total / (self.trainer.max_epochs or 1))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.schedule(optimizer, per_epoch, total), "interval": "step"},
        }

    def on_train_start(self) -> None:
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Ema):
                self._show_average(callback)
        self._restore_random_states()
        self._validate_last_epoch()  # a training that is resumed inside the last epoch does not start it

    def _show_average(self, average: Ema) -> None:
        for extra in self.extras:
            assert isinstance(extra, ExtraTraining)
            extra.set_average(average.weights)

    def on_train_epoch_start(self) -> None:
        self._validate_last_epoch()

    def _restore_random_states(self) -> None:
        """Restores random states here, because the model is not yet on its device when the checkpoint is read."""
        if "rng" in self.random_states:
            torch.set_rng_state(self.random_states["rng"])
        if "cuda_rng" in self.random_states and self.device.type == "cuda":
            torch.cuda.set_rng_state(self.random_states["cuda_rng"], self.device)
        self.random_states = {}

    def _validate_last_epoch(self) -> None:
        """Validates after the last epoch whatever `trainer.validate_every` is: its weights may be the best."""
        if self.current_epoch + 1 == self.trainer.max_epochs:
            self.trainer.check_val_every_n_epoch = 1

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        progress = self.current_epoch / (self.trainer.max_epochs or 1)
        self.model.set_progress(progress)
        terms = {**self.model.losses(batch.images, batch.targets), **self.extra_losses(batch, progress)}
        stacked = torch.stack(tuple(terms.values()))
        loss = stacked.sum()
        numbers = (
            torch.cat((loss[None], stacked)).detach().tolist()
        )  # one transfer, and so one synchronisation with the device
        values = dict(zip(("loss", *terms), numbers, strict=True))
        if not math.isfinite(values["loss"]) or values["loss"] > EXPLODED:
            raise self._broken(batch, values)
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.batches += 1
        self.log("loss", values["loss"], prog_bar=True, logger=False, batch_size=len(batch.targets))
        return loss

    def extra_losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """The terms of everything that is trained beside the model."""
        terms: dict[str, Tensor] = {}
        for extra in self.extras:
            assert isinstance(extra, ExtraTraining)
            extra.set_progress(progress)
            terms |= extra.losses(self.model, batch)
        return terms

    def _broken(self, batch: Batch, values: dict[str, float]) -> LightdetError:
        path = self.failure_folder / "broken_batch.pt"
        names = [target.image_id for target in batch.targets]
        torch.save({"images": batch.images, "image_ids": names, "values": values}, path)
        terms = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        return LightdetError(
            f"the loss broke at epoch {self.current_epoch + 1}, step {self.global_step} ({terms}); the batch with "
            f"{names[0]} and {len(names) - 1} more is in {path}; try a lower optimizer.lr or check its labels"
        )

    def on_train_epoch_end(self) -> None:
        for name, total in self.sums.items():
            self.log(f"train/{name}", total / self.batches, sync_dist=True)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        self.sums, self.batches = {}, 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.metric.update(self.model.predict(batch.images), batch.targets)

    def on_validation_epoch_end(self) -> None:
        """Logs every declared score; one that does not exist counts as the worst, one of a class is left out."""
        report = self.metric.compute(full=False)
        self.metric.reset()
        shown = primary_of(self.metric.scores).log_name
        for name, value in logged(self.metric.scores, report).items():
            self.log(name, value, prog_bar=name == shown)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = {"sums": self.sums, "batches": self.batches, "rng": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        ranks = gather(own)
        checkpoint["lightdet"] = own if len(ranks) == 1 else {"ranks": ranks}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        weights = checkpoint.get("state_dict", {})
        checkpoint["state_dict"] = {
            f"model.{name.removeprefix(FIRST_NAME)}" if name.startswith(FIRST_NAME) else name: value
            for name, value in weights.items()
        }
        saved = checkpoint["lightdet"]
        ranks = saved.get("ranks", [saved])
        if len(ranks) != self.trainer.world_size:
            raise LightdetError(
                f"cannot resume with {self.trainer.world_size} ranks a training that was begun with {len(ranks)}; set "
                "trainer.devices and trainer.nodes back, or start a new run under another study"
            )
        state = ranks[self.global_rank]
        self.sums, self.batches = dict(state["sums"]), state["batches"]
        self.random_states = {name: state[name].cpu() for name in ("rng", "cuda_rng") if name in state}
