"""Sweeps for tests: a few options under the project's own `hydra:` section, and a training that takes no time."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import stand_in
from omegaconf import DictConfig, OmegaConf

from lightdet.cli.train import run as train_command
from lightdet.config.conf_folder import conf_folder
from lightdet.runs.jobs import read_jobs

ROOT = Path(__file__).resolve().parent.parent
SIX = ["attention=cbam,none", "head=76,38,19"]
STUDY = "attention-cbam-none__head-76-38-19"
FOUR_RUNS = [f"attention-{name}/s0" for name in ("cbam__head-76", "cbam__head-38", "cbam__head-19", "none__head-76")]
FILES = {
    "attention/cbam.yaml": "# @package model.network\nattention: {_target_: some.Cbam}\nhead: ${head}\n",
    "attention/none.yaml": "# @package model.network\nattention: null\nhead: none\n",
    "model/small.yaml": "# @package _global_\ndefaults: [/attention: cbam, _self_]\nhead: 76\nwidth: 0.25\n"
    "model: {network: {width: '${width}'}}\n",
    "logger/none.yaml": "{}\n",
    "logger/other.yaml": "mode: offline\n",
}
SCRIPT = """
import sys
import stand_in
from lightdet.cli.train import run
from lightdet.config import conf_folder
from lightdet.metric import detection_text

if __name__ == "__main__":
    conf_folder.__file__ = sys.argv[1]
    detection_text.metrics_text = str  # the stand-in has fewer numbers
    code = run(sys.argv[2:], stand_in.NAME)
    assert "torch" not in sys.modules
    sys.exit(code)
"""


def beside(conf: Path) -> str:
    """Where the module that looks for conf/ would lie to see this one."""
    return str(conf.parent / "lightdet" / "config" / "conf_folder.py")


def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set of options under the project's own `hydra:` section, in an empty working directory."""
    own = OmegaConf.load(conf_folder() / "train.yaml")
    assert isinstance(own, DictConfig)
    quiet = [entry for entry in own.defaults if "hydra" in str(entry)]
    main = {
        "defaults": [{"model": "small"}, {"logger": "none"}, {"launcher": "local"}, *quiet, "_self_"],
        **{"seed": 0, "study": own.study, "runs_dir": "runs", "image_size": 224, "hydra": own.hydra},
        **{"optimizer": {"lr": 0.1}, "trainer": {"max_epochs": 2}, "data": {"num_workers": 0}},
    }
    folder = tmp_path / "conf"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copytree(conf_folder() / "launcher", folder / "launcher")
    OmegaConf.save(OmegaConf.create(main), folder / "train.yaml")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


Launch = Callable[..., int]


def launch(conf: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """`launch(*words)`: the command `lightdet train WORDS` under the options of `conf`."""

    def run(*words: str, folder: Path = conf) -> int:
        with monkeypatch.context() as patch:
            patch.setattr("lightdet.config.conf_folder.__file__", beside(folder))
            patch.setattr("lightdet.metric.detection_text.metrics_text", str)  # the stand-in has fewer numbers
            return train_command(words, stand_in.NAME)

    return run


def script(conf: Path, words: list[str], **environment: str) -> subprocess.Popen[str]:
    """The same in a process of its own, with a group of its own, which can be killed."""
    Path("launch.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, "launch.py", beside(conf), *words],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(path: str) -> None:
    deadline = time.monotonic() + 60
    while not Path(path).exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def states(study: str) -> list[str]:
    return [row.state for row in read_jobs(Path("runs") / study)]
