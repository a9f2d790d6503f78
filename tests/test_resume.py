"""A training that was killed with SIGKILL ends at the very weights of the training that nobody killed."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import warm

from lightdet.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "data.reader.train_images=24",
    "data.reader.val_images=12",
    "data.reader.size=96",
    "image_size=96",
    "width=0.125",
    "data.batch_size=4",  # 6 steps an epoch
    "trainer.max_epochs=3",
    "trainer.checkpoint_seconds=0",  # after every step
    "trainer.precision=32-true",
    "trainer.channels_last=true",
    "trainer.progress=lines",
)

STOPS_EARLY = ("trainer.patience=1", "trainer.monitor=val/map75", "optimizer.lr=0", "logger=none")  # after two epochs
# The same as train.py, but killed when the last epoch is over and the best checkpoint is about to be measured.
KILLED_AT_THE_END = """
import os, signal, sys
import lightdet.engine.train
from lightdet.cli.main import program

lightdet.engine.train.load_weights = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(program("train"))
"""


def start(runs: Path, log: Path, *words: str, script: Sequence[str] = ("train.py",), popen: Any = warm.Popen) -> Any:
    command = [sys.executable, *script, *SMALL, *words, f"runs_dir={runs}"]
    environment = {**os.environ, "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
    with open(log, "ab") as file:
        return popen(command, cwd=ROOT, stdout=file, stderr=file, env=environment)


def run_folder(runs: Path) -> RunFolder | None:
    found = sorted(runs.glob("single/*/s0/status.json"))
    return RunFolder(found[0].parent) if found else None


def steps_done(runs: Path) -> int:
    """Optimizer steps in the last checkpoint, -1 while there is none."""
    folder = run_folder(runs)
    last = folder.checkpoints / "last.ckpt" if folder else None
    if last is None or not last.exists():
        return -1
    return int(torch.load(last, weights_only=True)["global_step"])


def kill_after(process: Any, runs: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while steps_done(runs) < step:
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def finished(runs: Path, log: Path, *words: str, popen: Any = warm.Popen) -> tuple[dict, dict, list[dict[str, str]]]:
    process = start(runs, log, *words, popen=popen)
    assert process.wait(timeout=400) == 0, log.read_text()[-3000:]
    folder = run_folder(runs)
    assert folder is not None
    with open(folder.metrics_csv, newline="") as file:
        rows = list(csv.DictReader(file))
    return torch.load(folder.checkpoints / "last.ckpt", weights_only=True), folder.read_results(), rows


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict, list[dict[str, str]]]:
    """From a cold start, which the others have to equal."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return finished(folder / "runs", folder / "log.txt", popen=subprocess.Popen)


def test_killed_three_times_and_resumed_ends_bit_for_bit_equal(tmp_path: Path, undisturbed) -> None:
    runs, log = tmp_path / "runs", tmp_path / "log.txt"
    for step in (3, 8, 15):  # inside the first, the second and the third epoch
        kill_after(start(runs, log), runs, step)
        assert run_folder(runs).read_status()["state"] == "running"  # nobody could write anything else
    checkpoint, results, rows = finished(runs, log)
    expected_checkpoint, expected_results, expected_rows = undisturbed
    assert checkpoint["global_step"] == expected_checkpoint["global_step"] == 18
    for name, value in expected_checkpoint["state_dict"].items():
        assert torch.equal(checkpoint["state_dict"][name], value), name
    for name, value in expected_checkpoint["ema"]["weights"].items():
        assert torch.equal(checkpoint["ema"]["weights"][name], value), name
    assert results["metrics"] == expected_results["metrics"]
    assert results["best_epoch"] == expected_results["best_epoch"]
    assert rows == expected_rows


def test_killed_after_it_stopped_early_it_is_measured_and_not_trained_further(tmp_path: Path) -> None:
    _, expected_results, expected_rows = finished(tmp_path / "whole", tmp_path / "whole.txt", *STOPS_EARLY)
    assert expected_results["epochs"] == len(expected_rows) == 2
    runs, log = tmp_path / "runs", tmp_path / "log.txt"
    killed = start(runs, log, *STOPS_EARLY, script=("-c", KILLED_AT_THE_END))
    assert killed.wait(timeout=400) == -signal.SIGKILL, log.read_text()[-3000:]
    last = run_folder(runs).checkpoints / "last.ckpt"
    written = last.stat().st_mtime_ns
    _, results, rows = finished(runs, log, *STOPS_EARLY)
    assert last.stat().st_mtime_ns == written
    assert rows == expected_rows
    for name in ("metrics", "best_epoch", "epochs"):
        assert results[name] == expected_results[name], name


def test_a_finished_run_is_not_trained_again(tmp_path: Path, undisturbed) -> None:
    """The same seed gives the same numbers in another folder, and a second command only reads them."""
    runs, log = tmp_path / "runs", tmp_path / "log.txt"
    _, results, rows = finished(runs, log)
    assert results["metrics"] == undisturbed[1]["metrics"] and rows == undisturbed[2]
    written = (run_folder(runs).checkpoints / "last.ckpt").stat().st_mtime_ns
    finished(runs, log)
    assert (run_folder(runs).checkpoints / "last.ckpt").stat().st_mtime_ns == written
    assert "done already" in log.read_text()
