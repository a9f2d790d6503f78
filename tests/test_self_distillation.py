"""`teacher=self`: the student's own moving average teaches, after the warm-up, and a training goes on bit for bit."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import SMALL_RUN
from torch import Tensor

from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.types import Batch
from lightdet.engine.distillation import distillations
from lightdet.engine.load import build_model
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.teachers import settle_teachers
from lightdet.task.training_task import TrainingTask

WORDS = (
    *SMALL_RUN,
    *("model=light", "image_size=64", "trainer.max_epochs=3", "schedule.warmup_epochs=1", "trainer.precision=32-true"),
    *("trainer.checkpoint_seconds=0", "distill=[mgd,bins,relation]", "distill.bins.least=0"),
    "teacher=self",
)
SECOND_EPOCH, ITS_SECOND_STEP = 1, 3


def trained(runs: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    [run] = (runs / "single").glob("*/s0")
    with open(run / "metrics.csv") as file:
        return read_checkpoint(run / "checkpoints" / "last.ckpt"), list(csv.DictReader(file))


def test_it_teaches_after_the_warm_up_and_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["train", *WORDS, f"runs_dir={tmp_path / 'whole'}"]) == 0
    whole, rows = trained(tmp_path / "whole")
    for name in ("mgd", "bins", "relation"):
        assert [float(row[f"train/distill_{name}"]) > 0 for row in rows] == [False, True, True], name
    assert not any("teacher" in name for name in whole["state_dict"])

    step = TrainingTask.training_step

    def killed(task: TrainingTask, batch: Batch, batch_idx: int) -> Tensor:
        if task.global_step == ITS_SECOND_STEP:
            raise KeyboardInterrupt
        return step(task, batch, batch_idx)

    monkeypatch.setattr(TrainingTask, "training_step", killed)
    words = ["train", *WORDS, f"runs_dir={tmp_path / 'killed'}"]
    assert main(words) != 0
    assert trained(tmp_path / "killed")[0]["epoch"] == SECOND_EPOCH
    monkeypatch.undo()
    assert main(words) == 0
    goes_on, its_rows = trained(tmp_path / "killed")
    assert its_rows == rows
    for name, value in whole["state_dict"].items():
        assert torch.equal(goes_on["state_dict"][name], value), name
    assert all(torch.equal(goes_on["ema"]["weights"][name], value) for name, value in whole["ema"]["weights"].items())


def test_the_teacher_is_the_average_itself() -> None:
    cfg = settle_teachers(compose_config([*WORDS, "num_classes=3"]))
    student = build_model(cfg, 3, fetch=False)
    term, *_ = distillations(cfg, student, ("a", "b", "c"))
    average = {name: value.clone() for name, value in student.state_dict().items()}
    term.set_average(average)
    [teacher] = term.teachers
    name, weight = next(iter(teacher.network.named_parameters()))
    average[f"network.{name}"].lerp_(torch.ones_like(weight), 0.5)
    assert torch.equal(weight, average[f"network.{name}"]) and not weight.requires_grad
    assert not torch.equal(weight, student.network.get_parameter(name))
    before = teacher.raw
    student.network(torch.rand(1, 3, 64, 64))
    assert teacher.raw is before, "a pass of the student is none of the teacher"


def test_it_counts_as_another_training() -> None:
    plain = compose_config([word for word in WORDS if not word.startswith(("distill", "teacher"))])
    taught = settle_teachers(compose_config(list(WORDS)))
    assert fingerprint(plain) != fingerprint(taught)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("trainer.ema_decay=0", "with trainer.ema_decay=0 the average is the student itself"),
        ("schedule.warmup_epochs=3", "after the warm-up of 3 epochs (schedule.warmup_epochs), and the training has 3"),
    ],
)
def test_an_average_that_teaches_nothing_is_refused(
    word: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *WORDS, word, f"runs_dir={tmp_path}"]) == 2
    assert told in capsys.readouterr().err
