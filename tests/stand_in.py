"""A training that takes no time: what the tests of the study give to its processes in place of the real one."""

import os
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lightdet.runs.folder import RunFolder

NAME = "stand_in:train"
TRAINED = Path("trained.txt")  # in the working directory: a line for each training that was begun


def train(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Scores 0.5 + 0.1 x seed; what else it does is told by environment variables that name runs."""
    name = f"{folder.path.parent.name}/{folder.path.name}"
    with open(TRAINED, "a", encoding="utf-8") as file:
        file.write(f"{name} {os.getpid()}\n")
    assert folder.read_status()["state"] == "running"
    time.sleep(float(os.environ.get("NAP", "0")))
    deadline = time.monotonic() + 60
    while len(trained()) < int(os.environ.get("MEET", "0")):
        assert time.monotonic() < deadline, "the others did not begin"
        time.sleep(0.02)
    if name in os.environ.get("FAIL_IN", "").split():
        raise ValueError("loss is\nnan")
    if name in os.environ.get("DIE_IN", "").split():
        os.kill(os.getpid(), 9)
    if name in os.environ.get("EXIT_IN", "").split():
        os._exit(7)
    if name in os.environ.get("FILL_IN", "").split():
        with open(folder.path / "ballast", "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))
    if name in os.environ.get("HANG_IN", "").split():
        Path("hanging").touch()
        time.sleep(120)
    score = 0.5 + 0.1 * cfg.seed
    per_class = {"dent": {"ap50": score + 0.1}, "scratch": {"ap50": None}}
    return {
        "metrics": {"map50": score, "map50_95": score / 2, "per_class": per_class},
        "footprint": {"parameters": 1_540_000},
    }


def trained() -> list[str]:
    """Names of the runs that were begun, in order."""
    return [line.split()[0] for line in TRAINED.read_text().splitlines()] if TRAINED.exists() else []
