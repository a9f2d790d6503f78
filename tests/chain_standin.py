"""A finished run and a training that takes no time, for chains."""

import hashlib
from pathlib import Path
from typing import Any

import stand_in
from omegaconf import DictConfig, OmegaConf
from small_run import SMALL_RUN

from lightdet.config.compose import compose_job
from lightdet.core.files import write_json, write_text
from lightdet.core.score import Score
from lightdet.metric.detection_scores import TASK
from lightdet.runs.folder import BEST, RunFolder
from lightdet.runs.registration import request_job
from lightdet.runs.scores import write_scores

NAME = "chain_standin:train"
SCORES = (Score("map50", "mAP50", "val/map50", primary=True),)


def train(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """What `stand_in.train` does, with weights that tell what they come from, and half of the parameters."""
    results = stand_in.train(cfg, folder)
    assert cfg.weights.sha256 == hashlib.sha256(folder.start_path.read_bytes()).hexdigest()
    folder.checkpoints.mkdir(exist_ok=True)
    lesson = ",".join(cfg.distill)
    (folder.checkpoints / BEST).write_bytes(folder.start_path.read_bytes() + f"{lesson} {cfg.seed};".encode())
    write_scores(folder, TASK, SCORES)
    return results


def finished(path: Path, score: float = 0.8) -> RunFolder:
    """A run of `model=light` that nothing can be predicted with, with all that a chain reads of it."""
    cfg = compose_job([*SMALL_RUN, "model=light", "seed=3", "trainer.max_epochs=5"])
    request, folder = request_job(cfg, ["model=light"]), RunFolder(path)
    write_text(folder.request_path, request.request)
    write_text(folder.config_path, OmegaConf.to_yaml(OmegaConf.create(request.request)))
    folder.write_status("done", fingerprint=request.fingerprint, study="whole", choices=request.choices, seed=3)
    write_scores(folder, TASK, SCORES)
    cost = {"parameters": 1_000_000, "macs": 1_000, "gflops": 0.002, "image_size": 96}
    write_json(folder.results_path, {"metrics": {"map50": score}, "footprint": cost, "epochs": 5})
    folder.checkpoints.mkdir(exist_ok=True)
    (folder.checkpoints / BEST).write_bytes(b"PK whole;")
    return folder
