"""Scores of classifiers by hand: decisions, costs, rankings, calibration, and what a metric refuses."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from lightdet.core.errors import LightdetError
from lightdet.core.score import primary_of
from lightdet.core.types import Classification, Letterbox, Target
from lightdet.metric.calibration import at_temperature, calibrated_error, fit_temperature, reliability
from lightdet.metric.classification import ClassificationMetric
from lightdet.metric.costs import cheapest, cost_matrix

CLASSES = ("good", "scratch", "dent")
PLACED = Letterbox(1.0, 1.0, 0.0, 0.0, 8, 8)


def seen(metric: ClassificationMetric, *images: tuple[int, tuple[float, ...]]) -> dict:
    for number, (label, probabilities) in enumerate(images):
        target = Target(torch.zeros(0, 4), torch.zeros(0), f"{number}.png", PLACED, class_label=label)
        metric.update([Classification(torch.tensor(probabilities))], [target])
    report = metric.compute()
    json.dumps(report, allow_nan=False)
    return report


def metric(costs: dict | None = None, by_cost: bool = False) -> ClassificationMetric:
    return ClassificationMetric(CLASSES, cost_matrix(costs, CLASSES), by_cost, good=0)


FOUR = ((0, (0.7, 0.2, 0.1)), (0, (0.4, 0.5, 0.1)), (1, (0.1, 0.8, 0.1)), (2, (0.6, 0.3, 0.1)))


def test_scores_by_hand() -> None:
    report = seen(metric(), *FOUR)
    assert report["accuracy"] == 0.5 and report["images"] == 4
    assert report["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert report["g_mean"] == 0, "dent is never found"
    assert report["expected_cost"] == 0.5, "where nothing is said, a mistake costs one"
    # good against the rest: .7, .4 against .1, .6 -> three of four pairs; scratch: all three; dent: equal everywhere
    assert report["auroc"] == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    assert report["confusion"]["matrix"] == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert report["per_class"]["scratch"] == {"recall": 1.0, "precision": 0.5, "f1": pytest.approx(2 / 3), "truths": 1}
    assert report["per_class"]["dent"]["precision"] is None and report["per_class"]["dent"]["f1"] == 0
    assert report["inspection"] == {
        **{"defective_images": 2, "escaped_images": 1, "escape_rate": 0.5},
        **{"good_images": 2, "rejected_images": 1, "overkill_rate": 0.5},
    }
    # confidences .7 right, .5 wrong, .8 right, .6 wrong, each in a bin of its own
    assert report["ece"] == pytest.approx((0.3 + 0.5 + 0.2 + 0.6) / 4)
    assert primary_of(ClassificationMetric.scores).key == "accuracy"


def test_costs_are_counted_and_may_decide() -> None:
    costs = {"dent": 10, "scratch": {"good": 5}}
    assert cost_matrix(costs, CLASSES).tolist() == [[0, 1, 1], [5, 0, 1], [10, 10, 0]]
    assert seen(metric(costs), *FOUR)["expected_cost"] == pytest.approx((0 + 1 + 0 + 10) / 4)
    # .6 good, .3 scratch, .1 dent: good costs 2.5, scratch 1.6, dent .9
    assert cheapest(np.array([[0.6, 0.3, 0.1]]), cost_matrix(costs, CLASSES)).tolist() == [2]
    decided = seen(metric(costs, by_cost=True), *FOUR)
    assert decided["confusion"]["matrix"][2] == [0, 0, 1], "the costly one is not let through"


@pytest.mark.parametrize(
    ("costs", "said"),
    [({"rust": 2}, "rust is no class"), ({"dent": {"x": 2}}, "x is no class"), ({"dent": -1}, "-1; give a number")],
)
def test_costs_without_a_meaning_are_refused(costs: dict, said: str) -> None:
    with pytest.raises(LightdetError, match=said):
        cost_matrix(costs, CLASSES)


@pytest.mark.parametrize("costs", [5, 0, [1, 2]])
def test_costs_that_are_no_mapping_are_refused(costs: Any) -> None:
    with pytest.raises(LightdetError, match="give a mapping of classes to costs"):
        cost_matrix(costs, CLASSES)


def test_a_class_that_a_command_line_makes_a_number_has_its_cost() -> None:
    assert cost_matrix({10: 3, "9": {10: 2}}, ("9", "10")).tolist() == [[0, 2], [3, 0]]


def test_contributions_are_the_scores() -> None:
    measured = metric({"dent": 10})
    report = seen(measured, *FOUR)
    contributions = measured.contributions()
    assert contributions.image_ids == ("0.png", "1.png", "2.png", "3.png")
    for key, (numerator, denominator) in contributions.scores.items():
        assert numerator.sum() / denominator.sum() == pytest.approx(report[key])


def test_what_is_no_probability_and_an_image_without_a_class_are_refused() -> None:
    with pytest.raises(LightdetError, match=r"0\.png: the classifier gave a probability that is NaN"):
        seen(metric(), (0, (math.nan, 0.5, 0.5)))
    with pytest.raises(LightdetError, match=r"0\.png: no class"):
        seen(metric(), (None, (0.2, 0.5, 0.3)))  # type: ignore[arg-type]


def test_nothing_seen_has_no_score() -> None:
    report = metric().compute()
    assert report["accuracy"] is None and report["ece"] is None and report["images"] == 0


def test_a_temperature_is_found_again_and_mends_the_error() -> None:
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(4000, 4))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(4, p=row) for row in true])
    too_sure = at_temperature(true, 1 / 3)
    assert fit_temperature(too_sure, labels) == pytest.approx(3, rel=0.05)
    fold = np.arange(4000) % 2 == 0
    assert reliability(too_sure, labels).error > 0.15
    assert calibrated_error(too_sure, labels, fold) < 0.03
    assert calibrated_error(too_sure, labels, np.zeros(4000, bool)) is None, "no images to fit on"


def test_the_temperature_of_a_half_is_not_seen_by_that_half() -> None:
    """Where the halves disagree, each is worse with the temperature of the other than with its own."""
    sure = np.array([[0.9, 0.1]] * 40)
    labels = np.array([0] * 20 + [0, 1] * 10)  # the first half always right, the second every second time
    fold = np.arange(40) < 20
    own = np.mean([abs(reliability(sure[half], labels[half]).error) for half in (fold, ~fold)])
    assert calibrated_error(sure, labels, fold) > own
