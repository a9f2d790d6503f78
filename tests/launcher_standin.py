"""Stands in for the training where a launcher is tested: counts in its checkpoint, so that a continued run shows."""

import os
import time
from typing import Any

from omegaconf import DictConfig

from lightdet.core.files import write_text
from lightdet.runs.folder import RunFolder


def claim(study: Any, seed: int) -> RunFolder:
    """A queued run as a study registers it."""
    folder = RunFolder(study / "row" / f"s{seed}")
    write_text(folder.request_path, f"seed: {seed}\n")
    folder.write_status("queued", fingerprint=f"x-s{seed}", study=study.name, slug="row", seed=seed)
    return folder


def train(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """$STEPS steps of $NAP seconds; "began" tells from which step on every process went, seed 13 fails."""
    if cfg.seed == 13:
        raise ValueError("thirteen is not trained")
    last, began = folder.checkpoints / "last.ckpt", folder.path / "began.csv"
    first, steps = int(last.read_text()) if last.exists() else 0, int(os.environ.get("STEPS", "3"))
    write_text(began, (began.read_text() if began.exists() else "") + f"{first}\n")
    for step in range(first, steps):
        time.sleep(float(os.environ.get("NAP", "0.01")))
        write_text(last, str(step + 1))
        folder.write_status("running", epoch=step + 1, epochs=steps, step=step + 1)
    write_text(folder.pictures / "a.png", "picture")
    return {"metrics": {"map50": 0.5 + cfg.seed / 10}, "steps": int(last.read_text())}
