"""metrics.csv and log.csv: a row for each epoch with its own numbers, and none twice after a resume."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import tracked_run
from pytorch_lightning.callbacks import ModelCheckpoint
from tracked_run import CONFIG, train

from lightdet.callback.metrics_csv import MetricsCsv, read_metrics
from lightdet.logger.csv import CsvLogger
from lightdet.runs.folder import RunFolder

folder = pytest.fixture(tracked_run.folder)


def test_the_long_csv_repeats_no_step_after_a_resume(folder: RunFolder) -> None:
    train(CsvLogger(folder, CONFIG), range(3))
    whole = (folder.path / "log.csv").read_text()
    train(CsvLogger(folder, CONFIG), range(1, 3))
    assert (folder.path / "log.csv").read_text() == whole
    assert whole.splitlines()[:3] == ["step,epoch,name,value", "8,0,val/map50,0.0", "8,0,train/loss,1.0"]


class Line(pl.LightningModule):
    """Fits one weight; logs as the detection task does, some of it in `on_train_epoch_end`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.total = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        loss = (self.weight * batch).square().mean()
        self.total += float(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", self.total)
        self.log("other", 1.0)
        self.total = 0.0

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("val/map50", self.weight.detach().mean() + batch.mean())


def fit(folder: Path, epochs: int, validate_every: int = 1, resume: Path | None = None, best: bool = False) -> None:
    last = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    middle = ModelCheckpoint(folder, filename="best", monitor="val/map50", mode="min", enable_version_counter=False)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[MetricsCsv(folder / "metrics.csv"), middle if best else last],
        check_val_every_n_epoch=validate_every,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    batches = torch.utils.data.DataLoader(torch.ones(4, 1), batch_size=2)
    trainer.fit(Line(), batches, batches, ckpt_path=resume, weights_only=False)


def test_an_epoch_has_one_row_with_its_own_numbers(tmp_path: Path) -> None:
    fit(tmp_path, epochs=3)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert list(rows[0]) == ["epoch", "step", "train/loss", "val/map50"]
    assert float(rows[0]["train/loss"]) == pytest.approx(1 + 0.8**2)
    assert float(rows[0]["val/map50"]) == pytest.approx(1 + 0.8**2)
    assert float(rows[1]["train/loss"]) == pytest.approx(0.8**4 + 0.8**6)


def test_an_epoch_without_validation_repeats_no_old_number(tmp_path: Path) -> None:
    fit(tmp_path, epochs=3, validate_every=2)
    assert [bool(row["val/map50"]) for row in read_metrics(tmp_path / "metrics.csv")] == [False, True, False]


@pytest.mark.parametrize("best", [False, True], ids=["saved-at-epoch-end", "saved-after-validation"])
def test_a_resumed_training_leaves_the_same_csv(tmp_path: Path, best: bool) -> None:
    fit(tmp_path / "whole", epochs=4)
    fit(tmp_path / "killed", epochs=2, best=best)
    lost = tmp_path / "killed" / "metrics.csv"
    lost.write_text(lost.read_text() + "2,5,0.123,0.456\n3,7,0.123,0.456\n")  # rows after the last checkpoint
    fit(tmp_path / "killed", epochs=4, resume=tmp_path / "killed" / ("best.ckpt" if best else "last.ckpt"))
    assert lost.read_text() == (tmp_path / "whole" / "metrics.csv").read_text()
