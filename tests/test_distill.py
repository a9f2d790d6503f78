"""Distillation: terms by hand, teachers that leave no trace in the student, and what a training refuses."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import SMALL_RUN
from torch import Tensor

from lightdet.benchmark.candidate import settle
from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.distill.cwd import Cwd
from lightdet.distill.mgd import Mgd
from lightdet.distill.predictions import Predictions
from lightdet.engine.load import build_model
from lightdet.model.contract import Model

SIZE = 64


def model_of(name: str, *words: str, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return build_model(compose_config([f"model={name}", f"image_size={SIZE}", *words]), 3, fetch=False).eval()


def a_batch() -> Batch:
    return Batch(torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)))


def test_a_channel_is_a_distribution_over_its_places() -> None:
    student, teacher = model_of("light", "width=0.0625"), model_of("light", "width=0.125")
    term = Cwd(student, [teacher], SIZE, temperature=2.0)
    own, their = torch.tensor([[[[0.0, 0.0]]]]), torch.tensor([[[[0.0, 2 * math.log(3)]]]])  # a quarter and three
    expected = 4 * (0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5))
    assert float(term.distance(own, their, 0, 0)) == pytest.approx(expected, rel=1e-5)
    assert float(term.distance(their, their, 0, 0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", [Cwd, Mgd])
@pytest.mark.parametrize("teacher", ["light", "proposed"])
def test_maps_of_another_width_and_family_teach(kind: Any, teacher: str) -> None:
    student, wide = model_of("light", "width=0.0625"), model_of(teacher)
    term = kind(student, [wide, wide], SIZE)
    batch = a_batch()
    student.train()
    student.network(batch.images)
    [value] = term.losses(student, batch).values()
    value.backward()
    assert value > 0
    assert all(parameter.grad is not None for parameter in term.parameters())
    assert any(parameter.grad is not None for parameter in student.parameters())
    assert all(parameter.grad is None for parameter in wide.parameters())
    assert not wide.training
    assert not set(term.modules()) & set(wide.modules()), "the teacher is part of the module"


def test_the_same_predictions_have_no_distance_and_others_one() -> None:
    batch = a_batch()
    student, same, other = model_of("light"), model_of("light"), model_of("light", seed=1)
    settle(other.network)  # as it is built, an untrained network gives the same whatever it sees
    for teacher, zero in ((same, True), (other, False)):
        term = Predictions(student, [teacher], SIZE)
        student.network(batch.images)
        [value] = term.losses(student, batch).values()
        assert (float(value.detach()) < 1e-6) is zero, float(value.detach())


def test_probabilities_of_a_classifier() -> None:
    student, teacher = model_of("light_classifier"), model_of("light_classifier", seed=1)
    term, batch = Predictions(student, [teacher], SIZE, temperature=1.0), a_batch()
    own, their = (model.network(batch.images).softmax(1) for model in (student, teacher))
    expected: Tensor = (their * (their / own).log()).sum(1).mean()
    [value] = term.losses(student, batch).values()
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-4, abs=1e-7)


def test_teachers_that_do_not_fit_are_refused() -> None:
    light = model_of("light", "width=0.0625")
    with pytest.raises(LightdetError, match="do not predict alike"):
        Predictions(light, [model_of("light_classifier")], SIZE)
    with pytest.raises(LightdetError, match="3 maps and the teacher 1"):
        Cwd(light, [model_of("light_classifier")], SIZE)
    anchors = Predictions(light, [model_of("proposed")], SIZE)
    light.network(a_batch().images)
    with pytest.raises(LightdetError, match="in other cells"):
        anchors.losses(light, a_batch())


def only(runs: Path, study: str) -> Path:
    [run] = (runs / study).glob("*/s0")
    return run


def test_a_training_learns_from_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL_RUN, "model=light", f"runs_dir={tmp_path}"]
    assert main(["train", *words, "study=teacher"]) == 0
    teacher = only(tmp_path, "teacher")
    before = (teacher / "checkpoints" / "best.ckpt").read_bytes()
    taught = ["train", *words, "study=student", "distill=[cwd,predictions]", f"teacher={teacher}"]
    assert main(taught) == 0
    student = only(tmp_path, "student")
    with open(student / "metrics.csv") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["train/distill_cwd"]) > 0
    assert float(last["train/distill_predictions"]) > 0
    plain, own = (read_checkpoint(run / "checkpoints" / "best.ckpt")["ema"]["weights"] for run in (teacher, student))
    assert set(own) == set(plain)
    assert before == (teacher / "checkpoints" / "best.ckpt").read_bytes()
    known = json.loads((student / "status.json").read_text())["fingerprint"]
    assert known != json.loads((teacher / "status.json").read_text())["fingerprint"]
    capsys.readouterr()
    assert main(taught) == 0  # a finished run is not trained again
    assert "epoch 1/1" not in capsys.readouterr().out
    (teacher / "checkpoints" / "best.ckpt").unlink()
    assert main([*taught, "seed=1"]) == 2
    assert "teacher: no best.ckpt in" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["distill=cwd"], ["teacher=somewhere"]])
def test_distillation_needs_both(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "model=light", *words]) == 2
    assert "teacher" in capsys.readouterr().err
