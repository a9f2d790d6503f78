"""A task outside of the package, in twenty lines: it trains, resumes, sweeps and is compared as detection is."""

import contextlib
import io
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import warm

from lightdet.cli.main import main
from lightdet.core.files import read_json, read_metrics
from lightdet.core.score import Score
from lightdet.metric.contributions import read_contributions
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import scores_of, task_of

ROOT = Path(__file__).resolve().parent.parent
TASK = """
import numpy as np
from torch import nn

from lightdet.core.score import Score
from lightdet.data.reader.synthetic import Synthetic
from lightdet.metric.contract import Contributions, Metric
from lightdet.model.contract import Model

class AbsoluteError(Metric):
    scores = (Score("error", "mean error", "val/error", higher_is_better=False, primary=True),)
    errors = {}
    def update(self, predictions, targets):
        self.errors = self.errors | {t.image_id: p for t, p in zip(targets, predictions, strict=True)}
    def compute(self, full=True, threshold=None):
        return {"error": float(np.mean(list(self.errors.values()))), "images": len(self.errors)}
    def reset(self):
        self.errors = {}
    def contributions(self):
        errors = np.array(list(self.errors.values()))
        return Contributions(tuple(self.errors), {"error": (errors, np.ones(len(errors)))})

class WithTest(Synthetic):
    def read(self):
        splits = super().read()
        return {**splits, "test": splits["val"][:3]}

class Brightness(Model):
    task = "brightness"
    def __init__(self, width=4):
        super().__init__()
        pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1))
        self.network = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Dropout(0.1), pooled)
    def losses(self, images, targets):
        return {"squared": (self.network(images)[:, 0] - images.mean((1, 2, 3))).square().mean()}
    def predict(self, images):
        return (self.network(images)[:, 0] - images.mean((1, 2, 3))).abs().tolist()
    def metric(self, classes):
        return AbsoluteError()
    def layers(self):
        return ("0",)
"""
WORDS = (
    "data.reader._target_=brightness_task.WithTest",
    *("data.reader.train_images=16", "data.reader.val_images=6", "data.reader.size=96", "data.batch_size=4"),
    *("image_size=64", "trainer.max_epochs=3", "trainer.checkpoint_seconds=0", "trainer.device=cpu"),
    *("trainer.precision=32-true", "trainer.channels_last=false", "trainer.progress=lines", "logger=none"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of somebody else: the module and the options that name it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "brightness_task.py").write_text(TASK)
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "brightness.yaml").write_text("_target_: brightness_task.Brightness\nwidth: 4\n")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)
    sys.path.remove(str(folder))
    sys.modules.pop("brightness_task", None)


def train(place: Path, *words: str) -> int:
    return main(["train", "--config-dir", str(place / "conf"), "model=brightness", *WORDS, *words])


def run_in(runs: Path) -> RunFolder:
    (status,) = runs.glob("*/*/s0/status.json")
    return RunFolder(status.parent)


@pytest.fixture(scope="module")
def run(place: Path) -> RunFolder:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert train(place, f"runs_dir={place}/runs") == 0
    assert "  mean error " in printed.getvalue() and "boxes" not in printed.getvalue()
    return run_in(place / "runs")


def test_it_trains_and_declares_what_it_is_judged_by(run: RunFolder) -> None:
    results = run.read_results()
    assert (results["schema"], results["task"], task_of(run)) == (2, "brightness", "brightness")
    assert scores_of(run) == (Score("error", "mean error", "val/error", higher_is_better=False, primary=True),)
    errors = [float(row["val/error"]) for row in read_metrics(run.metrics_csv)]
    assert results["metrics"]["error"] == pytest.approx(min(errors), rel=1e-4), (
        "the best epoch is that of the least error"
    )
    assert results["best_epoch"] == errors.index(min(errors))
    assert run.read_status()["best"] == pytest.approx(min(errors), rel=1e-4)
    assert run.read_metrics_text().startswith("mean error ")
    assert not list(run.path.glob("*.png")) or [path.name for path in run.path.glob("*.png")] == ["training.png"]
    assert not run.pictures.exists()


def test_the_test_split_is_reported_beside_validation(run: RunFolder) -> None:
    results = run.read_results()
    assert (results["metrics"]["images"], results["test"]["metrics"]["images"]) == (6, 3)
    contributions = read_contributions(run.path)
    assert contributions is not None
    assert results["test"]["metrics"]["error"] == pytest.approx(contributions.scores["error"][0][:3].mean())


def test_evaluated_again_it_prints_its_own_score(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run.path), "--trust-modules"]) == 0
    assert capsys.readouterr().out.startswith("mean error ")
    again = json.loads((run.path / "evaluate-val" / "metrics.json").read_text())
    assert again == run.read_results()["metrics"]


def test_contributions_of_images_give_the_score(run: RunFolder) -> None:
    contributions = read_contributions(run.path)
    assert contributions is not None
    numerator, denominator = contributions.scores["error"]
    assert numerator.sum() / denominator.sum() == pytest.approx(run.read_results()["metrics"]["error"])
    assert list(contributions.image_ids) == json.loads((run.path / "splits.json").read_text())["val"]


def test_killed_and_resumed_it_ends_at_the_same_numbers(place: Path, run: RunFolder, tmp_path: Path) -> None:
    def start() -> Any:
        command = [
            sys.executable,
            str(ROOT / "train.py"),
            "--config-dir",
            str(place / "conf"),
            "model=brightness",
            *WORDS,
        ]
        with open(tmp_path / "log.txt", "ab") as log:
            return warm.Popen([*command, f"runs_dir={tmp_path}/runs"], cwd=place, stdout=log, stderr=log)

    def steps() -> int:
        found = list((tmp_path / "runs").glob("*/*/s0/checkpoints/last.ckpt"))
        return int(torch.load(found[0], weights_only=True)["global_step"]) if found else -1

    killed, deadline = start(), time.monotonic() + 240
    while steps() < 6:  # inside of the second epoch
        assert killed.poll() is None and time.monotonic() < deadline, (tmp_path / "log.txt").read_text()[-2000:]
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert start().wait(timeout=240) == 0, (tmp_path / "log.txt").read_text()[-2000:]
    resumed = run_in(tmp_path / "runs")
    assert resumed.read_results()["metrics"] == run.read_results()["metrics"]
    assert read_metrics(resumed.metrics_csv) == read_metrics(run.metrics_csv)


def test_a_sweep_of_it_ends_in_a_table_and_a_report(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(place, f"runs_dir={tmp_path}", "study=sweep", "-m", "model.width=2,3", "trainer.max_epochs=1") == 0
    assert len(list((tmp_path / "sweep").glob("*/s0/results.json"))) == 2
    assert "mean" in capsys.readouterr().out
    assert "mean error" in (tmp_path / "sweep" / "table.md").read_text()
    assert main(["report", str(tmp_path / "sweep")]) == 0
    assert "mean error" in (tmp_path / "sweep" / "report" / "report.html").read_text()


@pytest.mark.parametrize("monitor", ["train/loss", "val/error"])
def test_a_loss_or_an_error_may_be_monitored(place: Path, tmp_path: Path, monitor: str) -> None:
    """The best checkpoint is the one of the lowest value, and training stops when it does not fall."""
    words = (f"trainer.monitor={monitor}", "trainer.validate_every=2", "trainer.max_epochs=4", "trainer.patience=1")
    assert train(place, f"runs_dir={tmp_path}", *words, "optimizer.lr=0") == 0
    stopped = run_in(tmp_path)
    values = [float(row[monitor]) for row in read_metrics(stopped.metrics_csv) if row[monitor]]
    assert len(values) < 4
    assert stopped.read_status()["best"] == pytest.approx(min(values), rel=1e-4)
    assert read_json(stopped.status_path)["monitor"] == monitor
