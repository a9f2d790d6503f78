"""A checkpoint is whole or not there, wherever temporary files lie and whatever becomes of its writer."""

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch
import warm
from launcher_standin import claim
from pytorch_lightning import Trainer

from lightdet.config.compose import compose_config
from lightdet.core.errors import one_line
from lightdet.core.score import monitor_of
from lightdet.engine.work import work
from lightdet.metric.detection_scores import DETECTION_SCORES
from lightdet.optim.precision import Choice
from lightdet.runs.folder import RunFolder
from lightdet.task.trainer import build_trainer

ROOT = Path(__file__).resolve().parent.parent
# Writes a second checkpoint over the first one and dies when its last byte is on its way to the disk.
DIES = """
import os, sys, torch
from pathlib import Path
from lightdet.task.checkpoint_io import WholeCheckpoints

os.fsync = lambda file: os.kill(os.getpid(), 9)
WholeCheckpoints().save_checkpoint({"step": 2, "weight": torch.ones(1000)}, Path(sys.argv[1]))
"""


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """As a run gets it."""
    settings = compose_config(["trainer.progress=none", "trainer.device=cpu"]).trainer
    choice, monitor = Choice("32-true", False), monitor_of("primary", DETECTION_SCORES, ())
    return build_trainer(settings, RunFolder(tmp_path), torch.device("cpu"), choice, (), monitor, DETECTION_SCORES)


def save(trainer: Trainer, path: Path, step: int) -> None:
    trainer.strategy.save_checkpoint({"step": step, "weight": torch.full((1000,), float(step))}, path)


def step_in(path: Path) -> int:
    """Of a file that is whole: its weights are read too."""
    state = torch.load(path, weights_only=True)
    assert state["weight"].unique().tolist() == [state["step"]]
    return int(state["step"])


def test_a_checkpoint_is_written_beside_its_place(
    tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move from $TMPDIR is a copy where that is another filesystem; so nothing may be written there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    last = tmp_path / "checkpoints" / "last.ckpt"
    for step in (1, 2):
        save(trainer, last, step)
        assert step_in(last) == step
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]
    assert trainer.strategy.load_checkpoint(last, weights_only=True)["step"] == 2


def test_a_full_disk_is_told_in_one_line_and_costs_nothing(
    tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = tmp_path / "last.ckpt"
    save(trainer, last, 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as told:
        save(trainer, last, 2)
    assert one_line(told.value) == f"OSError: [Errno 28] No space left on device: '{last}'"
    assert step_in(last) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"], "what does not fit is taken away"


def test_who_is_killed_while_writing_leaves_the_earlier_one_and_the_next_process_tidies_up(
    tmp_path: Path, trainer: Trainer
) -> None:
    folder = claim(tmp_path / "study", 4)
    last = folder.checkpoints / "last.ckpt"
    save(trainer, last, 1)
    assert warm.Popen([sys.executable, "-c", DIES, str(last)], cwd=ROOT).wait(60) == -9
    (half,) = set(folder.checkpoints.iterdir()) - {last}
    assert half.stat().st_size > 1000
    assert half.suffix == ".tmp" and step_in(last) == 1
    last.write_text("0")  # the stand-in's kind of checkpoint
    work(folder, "launcher_standin:train")
    assert list(folder.checkpoints.iterdir()) == [last]
