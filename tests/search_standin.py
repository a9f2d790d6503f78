"""Stands in for the training in tests of the search: a known function of the settings, epoch by epoch, no torch."""

import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

import lightdet.config.composition
from lightdet.core.errors import Ended, LightdetError
from lightdet.core.files import read_metrics, write_text
from lightdet.engine.work import work
from lightdet.runs.folder import RunFolder

BEST_RATE = 0.002
TRAINED = Path("trained.txt")  # in the working directory: a line per epoch that was trained, after it was kept

DIED = Path("died.txt")  # a line per process that was killed because $DEATHS asks for so many


def _deaths() -> int:
    return len(DIED.read_text(encoding="utf-8").splitlines()) if DIED.exists() else 0


def quality(rate: float) -> float:
    """What a rate ends at: best at 0.002, a parabola in its logarithm."""
    return 0.9 - 0.2 * math.log10(rate / BEST_RATE) ** 2


def train(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Grows linearly over the epochs; goes on from the epochs that metrics.csv has."""
    name, epochs = folder.path.parent.name, cfg.trainer.max_epochs
    if cfg.optimizer.get("fails"):
        raise LightdetError("the data is not there")
    goal = quality(cfg.optimizer.lr) - 0.05 * (1 - cfg.get("width", 1.0))
    rows = [(int(row["epoch"]), row["val/map50_95"]) for row in read_metrics(folder.metrics_csv)]
    for epoch in range(len(rows), epochs):
        time.sleep(float(os.environ.get("NAP", "0")))
        reason = folder.end_reason()
        if reason is not None:
            raise Ended(reason)
        if epoch == 1 and _deaths() < int(os.environ.get("DEATHS", "0")):
            with open(DIED, "a", encoding="utf-8") as file:
                file.write(f"{name}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        rows.append((epoch, f"{goal * (epoch + 1) / epochs:.6f}"))
        lines = [f"{number},{value}" for number, value in rows]
        write_text(folder.metrics_csv, "\n".join(["epoch,val/map50_95", *lines]) + "\n")
        with open(TRAINED, "a", encoding="utf-8") as file:
            file.write(f"{name} {epoch}\n")
        folder.write_status("running", epoch=epoch + 1, epochs=epochs, step=epoch)
    width = cfg.get("width", 1.0)
    return {
        "metrics": {"map50": goal, "map50_95": goal, "per_class": {}},
        "footprint": {"parameters": 1_000_000 * width**2, "gflops": width},
        "epochs": epochs,
    }


class Here:
    """A launcher that trains in this very process, one run after another."""

    def run(self, folders: list[RunFolder], train: str, stop_on_error: bool) -> None:
        for folder in folders:
            try:
                work(folder, train)
            except LightdetError:
                assert folder.read_status()["state"] in ("failed", "pruned")


def main(conf: str, words: list[str]) -> int:
    """What typing `lightdet search` and the words does, with this training and the configuration in `conf`."""
    import lightdet.study.search.command as command

    command.conf_folder = lightdet.config.composition.conf_folder = lambda: Path(conf)
    return command.run(words, "search_standin:train")


if __name__ == "__main__":
    code = main(sys.argv[1], sys.argv[2:])
    assert "torch" not in sys.modules  # a worker that only waits stays small
    sys.exit(code)
