"""Searches for tests: a few options and spaces beside the project's own samplers, pruners and launchers."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from search_standin import TRAINED
from sweeps import beside

from lightdet.config.conf_folder import conf_folder
from lightdet.core.files import read_json
from lightdet.study.search import loop, watch
from lightdet.study.search.command import run as search_command
from lightdet.study.search.objective import Objective
from lightdet.study.search.trials import Search, TrialStore

TESTS = Path(__file__).resolve().parent
REAL = conf_folder()
RATE = "optimizer.lr: {low: 1.0e-4, high: 1.0e-1, log: true}"
SPACES = {
    "rate": f"parameters: {{{RATE}}}\nobjectives: {{metrics.map50_95: maximize}}\n",
    "two": "parameters: {optimizer.lr: [0.002, 0.1]}\nobjectives: {metrics.map50_95: maximize}\n",
    "grid": "parameters: {attention: [cbam, none], head: [76, 38]}\nobjectives: {metrics.map50_95: maximize}\n",
    "size": f"parameters: {{{RATE}, width: {{low: 0.25, high: 1.0, step: 0.25}}}}\n"
    "objectives: {metrics.map50_95: maximize, footprint.parameters: minimize}\n",
}
FILES = {
    "attention/cbam.yaml": "# @package model.network\nattention: {_target_: some.Cbam}\nhead: ${head}\n",
    "attention/none.yaml": "# @package model.network\nattention: null\nhead: none\n",
    "launcher/here.yaml": "_target_: search_standin.Here\n",
    **{f"search/{name}.yaml": f"defaults: [base, _self_]\n{text}" for name, text in SPACES.items()},
}
MAIN = """
defaults:
  [launcher: here, attention: none, _self_, recipe: none, override hydra/hydra_logging: none,
   override hydra/job_logging: none]
seed: 0
study: {name: null, on_error: continue, retry: false}
runs_dir: runs
image_size: 160
head: 76
width: 1.0
model: {network: {width: "${width}"}}
optimizer: {lr: 0.1, fails: false}
trainer: {max_epochs: 4}
"""


def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set of options beside the project's own launchers, samplers and pruners; an empty working directory."""
    folder = tmp_path / "conf"
    for group in ("search", "launcher", "recipe"):
        shutil.copytree(REAL / group, folder / group)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "train.yaml").write_text(MAIN)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("lightdet.config.conf_folder.__file__", beside(folder))  # for every reader of it alike
    monkeypatch.setattr(watch, "LOOK_AGAIN", 0.02)
    monkeypatch.setattr(loop, "LOOK_AGAIN", 0.1)
    return folder


def search(*words: str) -> int:
    return search_command(words, "search_standin:train")


def found(study: str) -> dict[str, Any]:
    return read_json(Path("runs") / study / "search.json")


def states(study: str) -> Counter[str]:
    return Counter(trial["state"] for trial in found(study)["trials"])


def rates(study: str) -> list[str]:
    return [trial["parameters"]["optimizer.lr"] for trial in found(study)["trials"]]


def epochs_trained() -> Counter[str]:
    return Counter(TRAINED.read_text().splitlines())


def store_of(path: Path, space: list[Any], *objectives: Objective) -> TrialStore:
    settings = OmegaConf.create({"storage": "sqlite://", "pruner": {"_target_": "optuna.pruners.NopPruner"}})
    return TrialStore(Search("s", path, space, list(objectives), settings, {}))
