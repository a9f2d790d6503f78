"""Scores of several classes of an image: by hand, beside torchmetrics' multilabel functions, and on resamples."""

import json
import math

import numpy as np
import pytest
import torch
from torchmetrics.functional import classification as reference

from lightdet.core.errors import LightdetError
from lightdet.core.score import primary_of
from lightdet.core.types import Classification, Letterbox, Target
from lightdet.draw.multi_label_files import judged_image
from lightdet.metric.multi_label import MultiLabelMetric
from lightdet.metric.ranking import auroc, average_precision, best_threshold

CLASSES = ("scratch", "dent", "spot")
PLACED = Letterbox(1.0, 1.0, 0.0, 0.0, 8, 8)
Image = tuple[tuple[int, ...] | None, tuple[float, ...]]
FOUR: tuple[Image, ...] = (
    ((0, 1), (0.9, 0.6, 0.1)),  # right
    ((1,), (0.8, 0.7, 0.2)),  # scratch is said without being there
    ((0,), (0.3, 0.2, 0.1)),  # missed altogether
    ((), (0.1, 0.4, 0.3)),  # a good part, right
)


def measured(*images: Image) -> MultiLabelMetric:
    metric = MultiLabelMetric(CLASSES)
    for number, (labels, probabilities) in enumerate(images):
        target = Target(torch.zeros(0, 4), torch.zeros(0), f"{number}.png", PLACED, label_set=labels)
        metric.update([Classification(torch.tensor(probabilities))], [target])
    return metric


def test_scores_by_hand() -> None:
    report = measured(*FOUR).compute()
    json.dumps(report, allow_nan=False)
    # scratch ranks 0, 1, 2, 3 and is in 0 and 2: (1 + 2/3) / 2; dent ranks 1, 0, 3, 2 and is in the first two; no spot
    assert report["per_class"]["scratch"]["ap"] == pytest.approx(5 / 6)
    assert report["per_class"]["dent"]["ap"] == 1 and report["per_class"]["spot"]["ap"] is None
    assert report["map"] == pytest.approx((5 / 6 + 1) / 2)
    # scratch: pairs of (0, 2) with (1, 3): three of four in order
    assert report["auroc"] == pytest.approx((3 / 4 + 1) / 2)
    # yes: scratch in 0 (right) and 1 (wrong), dent in 0 and 1 (right); scratch is missed in 2
    assert report["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    assert report["macro_f1"] == pytest.approx((2 * 1 / (2 + 2) + 1) / 2)
    assert report["exact_match"] == 0.5 and report["hamming_loss"] == pytest.approx(2 / 12)
    scratch = report["per_class"]["scratch"]
    assert (scratch["precision"], scratch["recall"], scratch["truths"], scratch["predictions"]) == (0.5, 0.5, 2, 2)
    # all three at .3 or more: F1 = 4/5; .9 alone: 2/3
    assert (scratch["best_threshold"], scratch["best_f1"]) == (pytest.approx(0.3), pytest.approx(0.8))
    point = report["operating_point"]
    assert point["threshold"] == 0.5 and point["macro_f1_at_best_thresholds"] == pytest.approx(0.9)
    assert (point["escaped_images"], point["defective_images"]) == (1, 3)
    assert (point["rejected_images"], point["good_images"], point["overkill_rate"]) == (0, 1, 0)
    assert primary_of(MultiLabelMetric.scores).key == "map"


def test_a_threshold_that_is_given_decides() -> None:
    report = measured(*FOUR).compute(threshold=0.3)
    # scratch then also in 2, dent and spot also in 3: 4 right of 7, 4 wanted
    assert report["micro_f1"] == pytest.approx(2 * 4 / (7 + 4)) and report["operating_point"]["chosen"] == "given"
    assert report["operating_point"]["rejected_images"] == 1 and report["operating_point"]["escaped_images"] == 0
    assert report["map"] == measured(*FOUR).compute()["map"], "the ranking has no threshold"


def test_a_calibration_by_hand() -> None:
    """An answer is as sure as its more probable side: .9 is right in a bin, .8 wrong in another one."""
    metric = MultiLabelMetric(("a", "b"))
    target = Target(torch.zeros(0, 4), torch.zeros(0), "0.png", PLACED, label_set=(0, 1))
    metric.update([Classification(torch.tensor([0.9, 0.2]))], [target])
    assert metric.compute()["ece"] == pytest.approx((0.1 + 0.8) / 2)


def many(images: int = 60, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    shown = generator.random((images, 3)) < (0.5, 0.2, 0.1)
    scores = 0.3 * shown + 0.7 * generator.random((images, 3))
    return (scores.round(1) if ties else scores).clip(0.01, 0.99), shown


@pytest.mark.parametrize("ties", [False, True])
def test_scores_are_those_of_torchmetrics(ties: bool) -> None:
    scores, shown = many(ties=ties)
    images = [(tuple(np.flatnonzero(has).tolist()), tuple(row)) for has, row in zip(shown, scores, strict=True)]
    report = measured(*images).compute()  # type: ignore[arg-type]
    given = torch.tensor(scores, dtype=torch.float32), torch.tensor(shown, dtype=torch.int64)
    assert report["map"] == pytest.approx(float(reference.multilabel_average_precision(*given, 3)), abs=1e-5)
    assert report["auroc"] == pytest.approx(float(reference.multilabel_auroc(*given, 3)), abs=1e-5)
    strict = (given[0] + 1e-4, given[1])  # torchmetrics counts .5 as no
    for average in ("micro", "macro"):
        f1 = reference.multilabel_f1_score(*strict, 3, average=average)
        assert report[f"{average}_f1"] == pytest.approx(float(f1), abs=1e-6)
    assert report["exact_match"] == pytest.approx(float(reference.multilabel_exact_match(*strict, 3)), abs=1e-6)
    assert report["hamming_loss"] == pytest.approx(
        1 - float(reference.multilabel_accuracy(*strict, 3, average="micro"))
    )
    answers = torch.stack((1 - given[0].ravel(), given[0].ravel()), 1)
    error = reference.multiclass_calibration_error(answers, given[1].ravel(), 2, n_bins=15)
    assert report["ece"] == pytest.approx(float(error), abs=0.03 if ties else 1e-5), "ties lie on borders of bins"


def test_resampled_images_count_as_copies() -> None:
    scores, shown = many()
    counts = np.random.default_rng(1).multinomial(len(scores), np.full(len(scores), 1 / len(scores)), size=4)
    found = average_precision(scores[:, 1], shown[:, 1], counts)
    for row, value in zip(counts, found, strict=True):
        copied = np.repeat(scores[:, 1], row), np.repeat(shown[:, 1], row)
        assert value == pytest.approx(average_precision(*copied, np.ones((1, row.sum())))[0])
    for row, value in zip(counts, auroc(scores[:, 1], shown[:, 1], counts), strict=True):
        copied = torch.tensor(np.repeat(scores[:, 1], row)), torch.tensor(np.repeat(shown[:, 1], row)).long()
        assert value == pytest.approx(float(reference.binary_auroc(*copied)), abs=1e-6)
    assert np.isnan(average_precision(scores[:, 1], shown[:, 1], (~shown[:, 1])[None].astype(int))), "none has it"


def test_a_class_that_all_or_no_images_have_has_no_ranking() -> None:
    scores = np.array([0.2, 0.9])
    for shown in (np.array([True, True]), np.array([False, False])):
        assert np.isnan(auroc(scores, shown, np.ones((1, 2)))).all()
    assert best_threshold(scores, np.array([False, False])) is None
    assert best_threshold(scores, np.array([True, True])) == (0.2, 1.0)


def test_contributions_are_the_scores() -> None:
    metric = measured(*FOUR)
    report, contributions = metric.compute(), metric.contributions()
    assert contributions.image_ids == ("0.png", "1.png", "2.png", "3.png")
    assert set(contributions.scores) == {"micro_f1", "exact_match", "hamming_loss"}
    for key, (numerator, denominator) in contributions.scores.items():
        assert numerator.sum() / denominator.sum() == pytest.approx(report[key])


def test_what_is_no_probability_and_an_image_without_a_set_are_refused() -> None:
    with pytest.raises(LightdetError, match=r"0\.png: the classifier gave a probability that is NaN"):
        measured(((0,), (math.nan, 0.5, 0.5)))
    with pytest.raises(LightdetError, match=r"0\.png: no set of classes; take data.label=all"):
        measured((None, (0.2, 0.5, 0.3)))


def test_nothing_seen_has_no_score() -> None:
    report = measured().compute()
    assert report["map"] is None and report["ece"] is None and report["exact_match"] is None and report["images"] == 0


def test_a_picture_names_the_mistakes_first() -> None:
    titles = [judged_image(image, CLASSES, 0.5) for image in measured(*FOUR).images]
    assert [(one.title, one.wrong, round(one.sure, 2)) for one in titles] == [
        ("scratch 0.90 + dent 0.60", False, 0.6),
        ("false scratch 0.80, right dent 0.70", True, 0.8),
        ("missed scratch 0.30", True, 0.7),
        ("no class", False, 0.6),
    ]
