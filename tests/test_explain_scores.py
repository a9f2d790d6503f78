"""The numbers of explanations, by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from test_cam import classifier, images, yolo
from test_explain_methods import Watching
from torch import Tensor

from lightdet.core.score import Score
from lightdet.core.types import Classification, Subject
from lightdet.explain.compare import BETTER, FEW, OPEN, WORSE, compared
from lightdet.explain.measure import SCORES
from lightdet.explain.randomised import randomised
from lightdet.explain.scores import deletion_and_insertion, energy, pointing, rank_correlation

BOXES = np.array([[10.0, 20.0, 30.0, 40.0], [60.0, 60.0, 80.0, 70.0]])


def spot(x: int, y: int, side: int = 100) -> np.ndarray:
    heat = np.zeros((side, side), np.float32)
    heat[y, x] = 1
    return heat


@pytest.mark.parametrize(
    ("x", "y", "hit"),
    [(20, 30, 1), (70, 65, 1), (45, 50, 0), (31, 30, 1), (33, 30, 0), (20, 43, 0), (99, 99, 0)],  # 3 px are tolerated
)
def test_pointing_is_a_hit_in_any_box_or_just_beside_it(x: int, y: int, hit: int) -> None:
    assert pointing(spot(x, y), BOXES) == hit


def test_a_map_of_zeros_points_nowhere_and_has_no_energy() -> None:
    nothing, everywhere = np.zeros((100, 100), np.float32), np.array([[0.0, 0.0, 100.0, 100.0]])
    assert pointing(nothing, everywhere) == 0
    assert energy(nothing, everywhere) == 0


def test_energy_by_hand() -> None:
    assert energy(np.ones((100, 100), np.float32), BOXES) == pytest.approx(1)
    assert energy(spot(20, 30), BOXES) == pytest.approx(10_000 / 600), "all of it in 6 % of the image"
    assert energy(spot(20, 30) + spot(99, 0), BOXES) == pytest.approx(10_000 / 600 / 2)


def test_rank_correlation_by_hand() -> None:
    rising = np.arange(6.0).reshape(2, 3)
    assert rank_correlation(rising, rising**3) == pytest.approx(1)
    assert rank_correlation(rising, -rising) == pytest.approx(-1)
    assert np.isnan(rank_correlation(rising, np.zeros((2, 3)))), "0 would look like a map that changes"
    by_hand = 1 - 6 * (1 + 1) / (6 * 35)  # two neighbours change places
    assert rank_correlation(rising, np.array([[1.0, 0, 2], [3, 4, 5]])) == pytest.approx(by_hand)


def test_deletion_and_insertion_by_hand() -> None:
    """A model whose probability is the brightness of the left half, of an image that is white there."""
    model: Any = Halves()
    image = torch.zeros(1, 3, 20, 40)
    image[..., :20] = 1
    region = (slice(0, 20), slice(0, 40))
    left = np.zeros((20, 40), np.float32)
    left[:, :20] = 1
    grey = 114 / 255
    deletion, _ = deletion_and_insertion(model, image, region, Subject(0, 1.0), left, 0)
    falls = [1 + (grey - 1) * min(1, 2 * step / 10) for step in range(11)]  # gone after half of the steps
    assert deletion == pytest.approx(np.trapezoid(falls, dx=0.1), abs=0.01)
    right_first, late = deletion_and_insertion(model, image, region, Subject(0, 1.0), left[:, ::-1].copy(), 0)
    assert right_first == pytest.approx(np.trapezoid(falls[::-1], dx=0.1) + (1 - grey) * 0, abs=0.3)
    assert right_first > deletion
    _, early = deletion_and_insertion(model, image, region, Subject(0, 1.0), left, 0)
    assert early > late, "what decides is inserted first"


def test_the_grey_border_is_neither_deleted_nor_inserted() -> None:
    model: Any = Kept()
    image = torch.full((1, 3, 40, 40), 0.3)
    image[:, :, 10:30] = 0.9
    heat = np.random.default_rng(0).random((20, 40)).astype(np.float32)
    deletion_and_insertion(model, image, (slice(10, 30), slice(0, 40)), Subject(0, 1.0), heat, 0)
    for seen in model.seen:
        assert torch.equal(seen[:, :, :10], image[:, :, :10].expand(11, 3, 10, 40))
        assert torch.equal(seen[:, :, 30:], image[:, :, 30:].expand(11, 3, 10, 40))
    deleted, inserted = model.seen
    assert torch.equal(deleted[0], image[0]) and torch.equal(inserted[-1], image[0])
    assert (deleted[-1, :, 10:30] == 114 / 255).all()


class Halves(Watching):
    """It finds its class as far as the left half is bright."""

    def __init__(self) -> None:
        super().__init__(boxes=False)

    def predict(self, seen: Tensor) -> list[Any]:
        shares = seen[..., :20].mean(dim=(1, 2, 3))
        return [Classification(torch.stack((share, 1 - share))) for share in shares]


class Kept(Halves):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def predict(self, seen: Tensor) -> list[Any]:
        self.seen.append(seen.clone())
        return super().predict(seen)


@pytest.mark.parametrize("build", [classifier, yolo])
def test_weights_are_lost_from_the_output_on(build: Any) -> None:
    model = build()
    before = {name: value.clone() for name, value in model.network.named_parameters()}
    last = "linear" if build is classifier else "predictor"
    changed = {}
    for stage in ("last", "half", "all"):
        other = dict(randomised(model, stage).network.named_parameters())
        changed[stage] = {name for name, value in other.items() if not torch.equal(value, before[name])}
        for name, value in other.items():
            torch.testing.assert_close(value.flatten().sort().values, before[name].flatten().sort().values)
    assert changed["last"] and all(name.startswith(last) for name in changed["last"])
    assert changed["last"] < changed["half"] < changed["all"]
    assert any(name.startswith("backbone.stem") for name in changed["all"])
    for name, value in model.network.named_parameters():
        assert torch.equal(value, before[name]), "the model stays"
    with torch.no_grad():
        assert not torch.equal(model.network(images())[0], randomised(model, "last").network(images())[0])


def numbers(score: Score, **values: Any) -> Any:
    images_of_cases = np.repeat(np.arange(20), 2)
    return compared(
        score, {name: np.asarray(each, float) for name, each in values.items()}, images_of_cases, ["centre"]
    )


def test_a_method_beats_the_best_trivial_map_where_the_interval_says_so() -> None:
    random = np.random.default_rng(0)
    centre = random.random(40)
    found = numbers(SCORES[2], centre=centre, better=centre - 0.2, worse=centre + 0.2, alike=random.random(40))
    assert [found[name].verdict for name in ("centre", "better", "worse", "alike")] == ["", BETTER, WORSE, OPEN]
    assert found["better"].difference == pytest.approx(-0.2), "deletion: small is good"
    assert found["better"].difference_high == pytest.approx(-0.2), "paired: every image differs by as much"
    assert found["better"].against == "centre" and found["better"].cases == 40
    assert found["alike"].low < found["alike"].mean < found["alike"].high
    pointing_found = numbers(SCORES[0], centre=centre, better=centre + 0.2)
    assert pointing_found["better"].verdict == BETTER
    nine = np.where(np.arange(40) < 9, centre + 0.2, np.nan)
    few = numbers(SCORES[0], centre=centre, better=nine)
    assert few["better"].verdict == FEW, "nine images prove nothing, however narrow their interval"


def test_cases_without_a_box_are_left_out_of_what_needs_one() -> None:
    values = [1.0, math.nan] * 20
    found = numbers(SCORES[0], centre=[0.0, math.nan] * 20, method=values, none=[math.nan] * 40)
    assert found["method"].cases == 20 and found["method"].mean == 1 and found["method"].low == 1
    assert "none" not in found
    assert found["centre"].as_json()["difference"] is None
