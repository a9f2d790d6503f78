"""A data set painted for tests of the data module, and a training on it that can be cut in the middle."""

from pathlib import Path

import cv2
import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn

from lightdet.core.annotation import Boxes
from lightdet.core.types import Batch
from lightdet.data.augment.pipeline import Pipeline
from lightdet.data.module import ImageData
from lightdet.data.record import Record

SIZE = 32  # px
TRAIN, VAL, BATCH = 22, 5, 4  # 5 whole batches an epoch, 2 images left out


class PaintedReader:
    """Photos (24, 48) of noise with a box on two of three."""

    classes = ("scratch", "patch")

    def __init__(self, root: Path, train: int = TRAIN, val: int = VAL) -> None:
        self.root = root
        self.counts = {"train": train, "val": val}

    def read(self) -> dict[str, list[Record]]:
        return {split: [self._record(split, index) for index in range(n)] for split, n in self.counts.items()}

    def _record(self, split: str, index: int) -> Record:
        path = self.root / f"{split}{index:03d}.png"
        if not path.exists():
            pixels = np.random.default_rng(index).integers(0, 255, (24, 48, 3), dtype=np.uint8)
            cv2.imwrite(str(path), pixels)
        count = 0 if index % 3 == 0 else 1
        boxes = np.asarray([[4, 6, 10, 14]] * count, dtype=np.float32).reshape(-1, 4)
        return Record(path.name, path, Boxes(boxes, np.full(count, index % 2, dtype=np.int64)))


class Brightness:
    """A transform with the interface of albumentations: the whole image a random amount brighter."""

    random_generator: np.random.Generator

    def __call__(self, image: np.ndarray, bboxes: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": image // 2 + np.uint8(self.random_generator.integers(100)), "bboxes": bboxes}


def make_data(root: Path, num_workers: int | str = 0, cache_megabytes: int = 1, **counts: int) -> ImageData:
    return ImageData(
        reader=PaintedReader(root, **counts),
        augment=Pipeline([Brightness()]),
        image_size=SIZE,
        batch_size=BATCH,
        num_workers=num_workers,
        cache_megabytes=cache_megabytes,
        seed=3,
        max_epochs=3,
    )


class Linear(LightningModule):
    """Predicts nothing useful, but its weights remember every image and the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.seen: list[tuple[int, int, tuple[str, ...]]] = []
        self.validated: list[tuple[int, int]] = []
        self.images: list[Tensor] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append((self.current_epoch, batch_idx, tuple(target.image_id for target in batch.targets)))
        self.images.append(batch.images)
        boxes = sum(len(target.boxes_xyxy) for target in batch.targets)
        return (self.layer(batch.images.mean(dim=(2, 3))) - boxes).square().mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated.append((self.current_epoch, self.global_step))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class PowerCutError(Exception):
    pass


class StopAfter(Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
        if trainer.global_step == self.steps:
            raise PowerCutError


def fit(
    root: Path, folder: Path, every: int, num_workers: int = 0, stop: int = -1, resume: str | None = None, few: int = 0
) -> Linear:
    """`every` steps a checkpoint; before step `stop` the power goes. `few` batches, always the same; 0: all."""
    torch.manual_seed(0)
    model = Linear()
    checkpoint = ModelCheckpoint(folder, every_n_train_steps=every, save_last=True, save_top_k=-1)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        overfit_batches=few,
        num_sanity_val_steps=0,
        callbacks=[checkpoint, StopAfter(stop)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    try:
        trainer.fit(model, datamodule=make_data(root, num_workers), ckpt_path=resume)
    except PowerCutError:
        assert stop >= 0
    return model
