"""What is trained beside a model learns with it, is in the checkpoint, and stays out of the model's weights."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from test_task import PLACED
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightdet.callback.ema import Ema
from lightdet.core.types import Batch, Detections, Target
from lightdet.model.contract import Model
from lightdet.model.detector import Detector
from lightdet.nn.capture import captured
from lightdet.optim.schedule import WarmupCosine
from lightdet.task.extra_training import ExtraTraining
from lightdet.task.training_task import TrainingTask


class Small(Detector):
    """One convolution, taught to answer with 1."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(3, 2, 3))

    def layers(self) -> tuple[str, ...]:
        return ("0",)

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        return {"box": (self.network(images) - 1).square().mean()}

    def detect(self, images: Tensor) -> list[Detections]:
        return [Detections.none() for _ in images]


class Adapter(ExtraTraining):
    """A 1 x 1 convolution that brings a captured map near to a frozen teacher's."""

    def __init__(self, model: Model, wider: int = 4) -> None:
        super().__init__()
        self.project = nn.Conv2d(2, wider, 1)
        self.teacher = [nn.Conv2d(3, wider, 3).requires_grad_(False)]  # in a list: no part of the module
        self.context = captured(model.network, model.layers())
        self.maps = self.context.__enter__()
        self.progress: list[float] = []

    def set_progress(self, progress: float) -> None:
        self.progress.append(progress)

    def losses(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        return {"distillation": (self.project(self.maps["0"]) - self.teacher[0](batch.images)).square().mean()}


def batches() -> list[Batch]:
    """Four batches of noise."""
    random = torch.Generator().manual_seed(0)
    target = Target(torch.zeros(0, 4), torch.zeros(0).long(), "a.png", PLACED)
    return [Batch(torch.rand(2, 3, 8, 8, generator=random), [target, target]) for _ in range(4)]


class Loader(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader(batches(), batch_size=None)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device)


def task_of(folder: Path, beside: bool) -> TrainingTask:
    torch.manual_seed(0)
    model = Small()
    extras = [Adapter(model)] if beside else []
    optimizer = partial(torch.optim.AdamW, lr=0.05)
    return TrainingTask(model, ["dent"], optimizer, WarmupCosine(0.0, 0.1), folder, extras)


def fit(task: TrainingTask, folder: Path, epochs: int, resume: Path | None = None) -> dict[str, Any]:
    """Trains, and returns the last checkpoint; there is one per epoch in `folder`, epoch=0.ckpt first."""
    each = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[Ema(0.9, 2), each],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(task, datamodule=Loader(), ckpt_path=None if resume is None else str(resume), weights_only=True)
    checkpoint: dict[str, Any] = torch.load(folder / f"epoch={epochs - 1}.ckpt", weights_only=True)
    return checkpoint


def test_an_adapter_learns_beside_the_model_and_resumes(tmp_path: Path) -> None:
    task = task_of(tmp_path, beside=True)
    adapter = task.extras[0]
    assert isinstance(adapter, Adapter)
    before, teacher = adapter.project.weight.detach().clone(), adapter.teacher[0].weight.clone()
    checkpoint = fit(task, tmp_path, epochs=3)
    assert not torch.equal(before, adapter.project.weight) and torch.equal(teacher, adapter.teacher[0].weight)
    names = set(checkpoint["state_dict"])
    assert {"extras.0.project.weight", "model.network.0.weight"} <= names
    assert set(checkpoint["ema"]["weights"]) == set(task.model.state_dict()) == {"network.0.weight", "network.0.bias"}
    assert not any("teacher" in name for name in names)
    assert len(checkpoint["optimizer_states"][0]["param_groups"]) == 4, "two groups of the model, two of the adapter"
    assert adapter.progress == [epoch / 3 for epoch in range(3) for _ in range(4)]
    assert set(task.trainer.callback_metrics) >= {"train/loss", "train/box", "train/distillation"}


def test_what_is_trained_beside_goes_on_where_it_was(tmp_path: Path) -> None:
    """The state of a checkpoint in the middle is enough: the rest is the same, bit for bit."""
    whole = fit(task_of(tmp_path, beside=True), tmp_path / "whole", epochs=4)
    middle = tmp_path / "whole" / "epoch=1.ckpt"
    resumed = fit(task_of(tmp_path, beside=True), tmp_path / "resumed", epochs=4, resume=middle)
    assert whole["state_dict"].keys() == resumed["state_dict"].keys()
    for name, value in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], value), name


def test_without_extras_the_optimizer_has_the_groups_of_before(tmp_path: Path) -> None:
    checkpoint = fit(task_of(tmp_path, beside=False), tmp_path, epochs=1)
    assert len(checkpoint["optimizer_states"][0]["param_groups"]) == 2
    assert all(name.startswith("model.") for name in checkpoint["state_dict"])
