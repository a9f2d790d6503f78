"""Distillation: terms by hand, teachers that leave no trace in the student, and what a training refuses."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import SMALL_RUN
from targets import target
from torch import Tensor

from lightdet.benchmark.candidate import settle
from lightdet.cli.main import main
from lightdet.config.compose import compose_config
from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.core.types import Batch
from lightdet.distill.bins import Bins
from lightdet.distill.contract import Distillation
from lightdet.distill.cwd import Cwd
from lightdet.distill.mgd import Mgd
from lightdet.distill.predictions import Predictions
from lightdet.distill.relation import Relation, relations
from lightdet.distill.watched import Teacher, layers_of, watched
from lightdet.engine.load import build_model
from lightdet.model.contract import Model

SIZE = 64


def model_of(name: str, *words: str, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return build_model(compose_config([f"model={name}", f"image_size={SIZE}", *words]), 3, fetch=False).eval()


def a_batch() -> Batch:
    return Batch(torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)))


def begun(term: Distillation, student: Model, *teachers: Model) -> Distillation:
    term.begin(watched(student), [Teacher(one.network, layers_of(one), one) for one in teachers], SIZE)
    return term


def value_of(term: Distillation, student: Model, batch: Batch) -> Tensor:
    student.network(batch.images)
    [value] = term.losses(student, batch).values()
    return value


def test_a_channel_is_a_distribution_over_its_places() -> None:
    term = Cwd(temperature=2.0)
    own, their = torch.tensor([[[[0.0, 0.0]]]]), torch.tensor([[[[0.0, 2 * math.log(3)]]]])  # a quarter and three
    expected = 4 * (0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5))
    assert float(term.distance(own, their)) == pytest.approx(expected, rel=1e-5)
    assert float(term.distance(their, their)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", [Cwd, Mgd])
@pytest.mark.parametrize("teacher", ["light", "proposed"])
def test_maps_of_another_width_and_family_teach(kind: Any, teacher: str) -> None:
    student, wide = model_of("light", "width=0.0625"), model_of(teacher)
    term = begun(kind(), student, wide, wide)
    value = value_of(term, student.train(), a_batch())
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
        value = value_of(begun(Predictions(), student, teacher), student, batch)
        assert (float(value.detach()) < 1e-6) is zero, float(value.detach())


def test_probabilities_of_a_classifier() -> None:
    student, teacher = model_of("light_classifier"), model_of("light_classifier", seed=1)
    term, batch = begun(Predictions(temperature=1.0), student, teacher), a_batch()
    own, their = (model.network(batch.images).softmax(1) for model in (student, teacher))
    expected: Tensor = (their * (their / own).log()).sum(1).mean()
    assert float(value_of(term, student, batch).detach()) == pytest.approx(float(expected.detach()), rel=1e-4, abs=1e-7)


def test_teachers_that_do_not_fit_are_refused() -> None:
    light = model_of("light", "width=0.0625")
    with pytest.raises(LightdetError, match="do not predict alike"):
        begun(Predictions(), light, model_of("light_classifier"))
    with pytest.raises(LightdetError, match="3 maps and the teacher 1"):
        begun(Cwd(), light, model_of("light_classifier"))
    anchors = begun(Predictions(), light, model_of("proposed"))
    with pytest.raises(LightdetError, match="in other cells"):
        value_of(anchors, light, a_batch())
    with pytest.raises(LightdetError, match="Anchor predicts no distances"):
        begun(Bins(), light, model_of("proposed"))
    with pytest.raises(LightdetError, match="has 8 bins at strides 8, 16, 32, the student 16"):
        begun(Bins(), light, model_of("light", "model.network.predictor.bins=8"))


def test_doubts_about_a_side_are_learnt_where_the_teacher_sees_something() -> None:
    """Raw outputs in the place of two networks': one box side of one cell differs."""
    student, teacher = model_of("light", "width=0.0625"), model_of("light", "width=0.0625")
    term, batch = begun(Bins(temperature=2.0, least=0.5), student, teacher), a_batch()
    assert isinstance(term, Bins)
    student.network(batch.images)
    teacher.network(batch.images)
    own, their = ([torch.zeros_like(one) for one in each.raw] for each in (term.student, term.teachers[0]))
    for each in (*own, *their):
        each[:, 64:] = -5.0  # no class anywhere
    their[0][0, 64, 1, 2] = math.log(3)  # a score of 0.75
    their[0][0, 16, 1, 2] = 2 * math.log(3)  # of the top: bin 0 three times as likely as any other
    own = [one.requires_grad_() for one in own]
    term.student.raw, term.teachers[0].raw = own, their
    share = torch.tensor([3.0] + [1.0] * 15) / 18
    expected = 4 * float((share * (share * 16).log()).sum()) / 4 * 0.75 / 1.0  # fewer than one box counts as one
    value = term.term(0, batch)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    value.backward()
    assert [int((one.grad != 0).sum()) for one in own if one.grad is not None] == [16, 0, 0]
    their[0][0, 64, 1, 2] = -0.1
    assert float(term.term(0, batch).detach()) == 0


def test_relations_of_objects_by_hand_and_whatever_turns_them() -> None:
    """Three vectors of a right triangle with sides 3, 4 and 5; any rotation, shift and scale keeps all relations."""
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    distances, cosines = relations(corners)
    assert distances[0, 1:].tolist() == pytest.approx([3 / 4, 1.0], abs=1e-3)
    assert float(distances[1, 2]) == pytest.approx(5 / 4, abs=1e-3)
    assert [float(cosines[at, i, j]) for at, i, j in ((0, 1, 2), (1, 0, 2), (2, 0, 1))] == pytest.approx(
        [0, 3 / 5, 4 / 5], abs=1e-3
    )
    turned = 2 * corners @ torch.tensor([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0]]) + 7
    for mine, others in zip(relations(turned), (distances, cosines), strict=True):
        assert torch.allclose(mine, others, atol=1e-3)


def test_relations_are_those_of_the_annotated_boxes() -> None:
    """The teacher is another copy of the student, whose maps are changed in one of four boxes, then beside them."""
    student, teacher = model_of("light", "width=0.0625"), model_of("light", "width=0.0625")
    term, boxes = begun(Relation(), student, teacher), [[0.0, 0, 16, 16], [32, 0, 64, 32], [0, 32, 16, 48]]
    targets = [target(boxes, [0, 0, 0]), target([], [])]
    batch = Batch(a_batch().images, targets)
    assert float(value_of(term, student, batch).detach()) == pytest.approx(0, abs=1e-5)
    maps = term.teachers[0].maps[0]
    maps[1] += 1  # an image without objects
    maps[0, :, 5:, 5:] += 1  # of the map at stride 8: no box is there
    assert float(term.term(0, batch).detach()) == pytest.approx(0, abs=1e-5)
    maps[0, : len(maps[0]) // 2, :2, :2] += 1
    value = term.term(0, batch)
    assert float(value.detach()) > 1e-4
    value.backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in student.parameters())
    targets[0].boxes_xyxy = torch.tensor(boxes[:2])
    assert float(term.term(0, batch).detach()) == 0, "two objects have one distance, which is the mean"


def test_relations_between_images_of_a_classifier() -> None:
    student, teacher = model_of("light_classifier"), model_of("light_classifier", seed=1)
    batch = Batch(torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)), [target([], [])] * 4)
    assert float(value_of(begun(Relation(), student, teacher), student, batch).detach()) > 0


def only(runs: Path, study: str) -> Path:
    [run] = (runs / study).glob("*/s0")
    return run


def test_a_training_learns_from_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL_RUN, "model=light", f"runs_dir={tmp_path}"]
    assert main(["train", *words, "study=teacher"]) == 0
    teacher = only(tmp_path, "teacher")
    before = (teacher / "checkpoints" / "best.ckpt").read_bytes()
    taught = ["train", *words, "study=student", "distill=[cwd,predictions,bins,relation]", f"teacher={teacher}"]
    assert main(taught) == 0
    student = only(tmp_path, "student")
    with open(student / "metrics.csv") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["train/distill_cwd"]) > 0
    assert float(last["train/distill_predictions"]) > 0
    assert float(last["train/distill_bins"]) >= 0 and float(last["train/distill_relation"]) >= 0
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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["distill=cwd"], "distillation needs both"),
        (["teacher=somewhere"], "distillation needs both"),
        (["distill=cwd", "teacher=one", "distill.cwd.gain=-1"], "distill.cwd.gain=-1: give a number that is not neg"),
        (["distill=bins", "teacher=one", "distill.bins.temperature=0"], "distill.bins.temperature=0: give a number ab"),
        (["distill=mgd", "teacher=one", "distill.mgd.masked=2"], "distill.mgd.masked=2: give a number from 0 to 1"),
    ],
)
def test_what_cannot_teach_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "model=light", *words]) == 2
    assert told in capsys.readouterr().err
