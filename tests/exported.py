"""A working directory with a run of one epoch and the package that was exported from it."""

import json
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_run import SMALL_RUN

from lightdet.cli.main import main
from lightdet.engine.load import load_run
from lightdet.model.yolo import YoloDetector
from lightdet.runs.folder import BEST, RunFolder
from lightdet.runs.package import CONTRACT, WEIGHTS


@dataclass(frozen=True)
class Exported:
    folder: Path  # the working directory of the training
    run: RunFolder
    package: Path
    data: tuple[str, ...]  # words that choose its dataset

    @property
    def image(self) -> Path:
        """An image of the dataset."""
        return next((self.folder / "cache").rglob("*.png"))


def train_and_export(folder: Path) -> Exported:
    """Below `folder`, which is the working directory meanwhile."""
    data = ("data=synthetic", *(word for word in SMALL_RUN if word.startswith("data.reader")))
    words = [*SMALL_RUN, "image_size=64", f"data.reader.cache={folder}/cache", "model.score_threshold=0.00001"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *words, "name=base"]) == 0
        assert main(["export", "base", "--out", "packages/base", "--licence", "ours"]) == 0
    run, package = RunFolder(folder / "runs/single/base/s0"), folder / "packages/base"
    return Exported(folder, run, package, (*data, f"data.reader.cache={folder}/cache"))


def copy_of(package: Path, to: Path) -> Path:
    return Path(shutil.copytree(package, to))


def contract_in(package: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((package / CONTRACT).read_text())
    return content


def rewrite(package: Path, content: Any) -> None:
    """Another contract in its place."""
    (package / CONTRACT).write_text(content if isinstance(content, str) else json.dumps(content))


def rewrite_weights(package: Path, content: bytes) -> None:
    """Other weights, of which the contract has the hash."""
    (package / WEIGHTS).write_bytes(content)
    contract = contract_in(package)
    contract["hashes"]["weights"] = sha256(content).hexdigest()
    rewrite(package, contract)


def train_and_settle(folder: Path) -> Exported:
    """A run whose weights answer to what they see, which one epoch does not teach them: random, with the statistics of
    its images, and a threshold that a few boxes of each image reach."""
    made = train_and_export(folder)
    model = load_run(made.run.path).model
    pixels = np.stack([cv2.resize(cv2.imread(str(path)), (64, 64)) for path in sorted(made.folder.rglob("*.png"))[:8]])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    torch.manual_seed(0)
    assert isinstance(model, YoloDetector)
    for convolution in model.network.predictor.convs:
        torch.nn.init.normal_(convolution.weight, std=0.1)
        torch.nn.init.zeros_(convolution.bias)  # which would hold all scores down to the size of their rounding
    for module in model.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of what it sees from here
            module.reset_running_stats()
    with torch.no_grad():
        model.network.train()(images)
        scores = torch.cat([found.scores.sort(descending=True).values[30:31] for found in model.eval().detect(images)])
    state = torch.load(made.run.checkpoints / BEST, weights_only=True)
    state["ema"]["weights"] = model.state_dict()
    torch.save(state, made.run.checkpoints / BEST)
    results = json.loads(made.run.results_path.read_text())
    results["metrics"].setdefault("operating_point", {})["threshold"] = float(scores.mean())
    made.run.results_path.write_text(json.dumps(results))
    return made
