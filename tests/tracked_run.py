"""A run that trackers are told about, made up, and W&B's own reader of what it was told."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image

from lightdet.logger.run_logger import RunLogger, close_trackers
from lightdet.runs.folder import RunFolder

CHOICES = {"attention": "cbam", "head": 76, "model": "proposed", "data": "synthetic", "loss/box": "giou"}
CONFIG = {"seed": 0, "model": {"network": {"width": 0.25}}}


def forget_wandb(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key anywhere, and W&B with nothing in memory."""
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    wandb.teardown()


@contextmanager
def tracked_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """A run folder whose training has begun, in a process that knows no key."""
    forget_wandb(tmp_path / "home", monkeypatch)
    run = RunFolder(tmp_path / "runs" / "study" / "attention-cbam" / "s0")
    run.write_status("running", study="study", fingerprint="f-s0", choices=CHOICES)
    yield run
    close_trackers()
    wandb.teardown()


def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """A run folder in a process that knows no key."""
    with tracked_run(tmp_path, monkeypatch) as run:
        yield run


def results(photo: Path) -> dict[str, Any]:
    """Final numbers of two classes and one sample."""
    Image.new("RGB", (40, 30), "grey").save(photo)
    curve = {"recall": [0.0, 0.5, 1.0], "precision": [1.0, 0.8, 0.1]}
    sample = {"image_id": "a.png", "path": str(photo), "boxes": [[1, 2, 20, 25, 0.9, 1]], "truth": [[2, 2, 20, 24, 1]]}
    return {
        "classes": ["dent", "scratch"],
        "best_epoch": 1,
        "footprint": {"parameters": 1_540_000, "gflops": 0.42},
        "metrics": {
            **{"map50": 0.7, "map75": None, "map50_95": 0.4, "samples": [sample]},
            "per_class": {"dent": {"ap50": 0.6}, "scratch": {"ap50": 0.8}},
            "operating_point": {"threshold": 0.3, "f1": 0.7, "escape_rate": 0.1, "overkill_rate": 0.2},
            "curves": {"dent": curve, "scratch": curve},
        },
    }


def train(logger: RunLogger, epochs: range) -> None:
    """What Lightning tells a logger: epochs of eight steps, mAP50 epoch / 10, loss 1 - epoch / 10."""
    for epoch in epochs:
        logger.log_metrics({"val/map50": epoch / 10, "epoch": epoch}, step=8 * (epoch + 1))
        logger.log_metrics({"train/loss": 1.0 - epoch / 10, "epoch": epoch}, step=8 * (epoch + 1))


def records(folder: Path) -> list[dict[str, Any]]:
    """Every record of the latest W&B file in `folder`, read by W&B's own reader."""
    (file,) = sorted((folder / "wandb").glob("offline-run-*/*.wandb"))[-1:]
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The records of one type."""
    return [record[kind] for record in found if record["type"] == kind]


def summary_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The run's summary at its end."""
    return {name: value for update in of_kind(found, "summary") for name, value in update["update"].items()}
