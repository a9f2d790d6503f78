"""Teaching a detector: knows the `Detector` contract and nothing about any model."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.distributed.gather import gather
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.frame import detections_to_photo, target_to_photo
from lightdet.model.detector import Detector
from lightdet.optim.groups import parameter_groups
from lightdet.optim.kernel import use_fused_kernel
from lightdet.optim.schedule import WarmupCosine

EXPLODED = 1e4  # a loss above this is no longer learning


class DetectionTask(LightningModule):
    """Adds up the detector's loss terms, logs them by name, and measures mean average precision in photo pixels.

    `optimizer(groups)` builds the optimizer; `failure_folder` receives the batch that broke
    a training. Of several ranks, each adds up the loss of its share of a batch; gradients and the logged terms are
    means over the ranks, and mean average precision is that of all images.
    """

    def __init__(
        self,
        detector: Detector,
        classes: Sequence[str],
        optimizer: Callable[..., Optimizer],
        schedule: WarmupCosine,
        failure_folder: Path,
    ) -> None:
        super().__init__()
        self.detector = detector
        self.build_optimizer = optimizer
        self.schedule = schedule
        self.failure_folder = failure_folder
        self.metric = DetectionMetric(tuple(classes))
        self.sums: dict[str, float] = {}
        self.batches = 0
        self.random_states: dict[str, Tensor] = {}  # of a checkpoint, until the training goes on

    def setup(self, stage: str) -> None:
        """Every rank gets random numbers of its own; those of rank 0 stay."""
        if self.global_rank:
            mixed = np.random.SeedSequence([torch.initial_seed(), self.global_rank])
            torch.manual_seed(int(mixed.generate_state(1)[0]))

    def configure_optimizers(self) -> Any:
        optimizer = self.build_optimizer(parameter_groups(self.detector))
        use_fused_kernel(optimizer)
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = math.ceil(total / (self.trainer.max_epochs or 1))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.schedule(optimizer, per_epoch, total), "interval": "step"},
        }

    def on_train_start(self) -> None:
        self._restore_random_states()
        self._validate_last_epoch()  # a training that goes on inside the last epoch does not start it

    def on_train_epoch_start(self) -> None:
        self._validate_last_epoch()

    def _restore_random_states(self) -> None:
        """Not when the checkpoint is read: the model is then not yet on the device it computes on."""
        if "rng" in self.random_states:
            torch.set_rng_state(self.random_states["rng"])
        if "cuda_rng" in self.random_states and self.device.type == "cuda":
            torch.cuda.set_rng_state(self.random_states["cuda_rng"], self.device)
        self.random_states = {}

    def _validate_last_epoch(self) -> None:
        """Whatever `trainer.validate_every` says, the weights of the end may be the best."""
        if self.current_epoch + 1 == self.trainer.max_epochs:
            self.trainer.check_val_every_n_epoch = 1

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.detector.at(self.current_epoch / (self.trainer.max_epochs or 1))
        terms = self.detector.losses(batch.images, batch.targets)
        stacked = torch.stack(tuple(terms.values()))
        loss = stacked.sum()
        told = torch.cat((loss[None], stacked)).detach().tolist()  # at once: an accelerator is waited for but once
        values = dict(zip(("loss", *terms), told, strict=True))
        if not math.isfinite(values["loss"]) or values["loss"] > EXPLODED:
            raise self._broken(batch, values)
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.batches += 1
        self.log("loss", values["loss"], prog_bar=True, logger=False, batch_size=len(batch.targets))
        return loss

    def _broken(self, batch: Batch, values: dict[str, float]) -> LightdetError:
        path = self.failure_folder / "broken_batch.pt"
        names = [target.image_id for target in batch.targets]
        torch.save({"images": batch.images, "image_ids": names, "values": values}, path)
        terms = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        return LightdetError(
            f"the loss broke at epoch {self.current_epoch + 1}, step {self.global_step} ({terms}); the batch with "
            f"{names[0]} and {len(names) - 1} more is in {path}; try a lower optimizer.lr or look at its labels"
        )

    def on_train_epoch_end(self) -> None:
        for name, total in self.sums.items():
            self.log(f"train/{name}", total / self.batches, sync_dist=True)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        self.sums, self.batches = {}, 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        found = self.detector.detect(batch.images)
        self.metric.update(
            [detections_to_photo(one, target.letterbox) for one, target in zip(found, batch.targets, strict=True)],
            [target_to_photo(target) for target in batch.targets],
        )

    def on_validation_epoch_end(self) -> None:
        report = self.metric.compute(full=False)
        self.metric.reset()
        for name in ("map50", "map75", "map50_95"):
            self.log(f"val/{name}", report[name] or 0.0, prog_bar=name == "map50")
        for name, row in report["per_class"].items():
            if row["ap50"] is not None:
                self.log(f"val/ap50/{name}", row["ap50"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = {"sums": self.sums, "batches": self.batches, "rng": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        ranks = gather(own)
        checkpoint["lightdet"] = own if len(ranks) == 1 else {"ranks": ranks}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
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
