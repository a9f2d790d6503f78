"""Scores of classifiers on resampled images: those that their metric gives for the copies; and exact intervals."""

import numpy as np
import pytest
from classifier_studies import Images, metric_of, one_class, several_classes
from scipy.stats import binomtest

from lightdet.metric import class_scores
from lightdet.metric.binomial import exact_interval
from lightdet.metric.bootstrap import draw


def as_arrays(images: Images) -> tuple[np.ndarray, np.ndarray]:
    labels = [np.atleast_1d(np.array(label, np.int64)) for label, _ in images]
    return np.stack([probabilities for _, probabilities in images]), np.stack(
        [np.isin(range(3), row) for row in labels]
    )


@pytest.mark.parametrize("costs", [None, {"dent": 10.0}])
def test_resampled_images_with_one_class_score_as_their_copies(costs: dict[str, float] | None) -> None:
    images = one_class(0.4, images=12)
    counts = np.concatenate([draw(12, 6), 3 * np.eye(12, dtype=np.int64)[:1]])  # the last: copies of one image
    probabilities, shown = as_arrays(images)
    right = metric_of(images, costs).contributions().scores["accuracy"][0]
    found = class_scores.of_one_class(probabilities, shown.argmax(axis=1), right, counts)
    for row, values in zip(counts, found, strict=True):
        report = metric_of([images[k] for k in np.repeat(np.arange(12), row)], costs).compute()
        expected = [np.nan if report[key] is None else report[key] for key in class_scores.OF_ONE_CLASS]
        np.testing.assert_allclose(values, expected, atol=1e-9)
    assert np.isnan(found[-1, 2]) and not np.isnan(found[-1, 0]), "one class cannot be ranked"


def test_resampled_images_with_several_classes_score_as_their_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_scores, "CELLS", 20)  # one resample at a time
    images = several_classes(0.4, images=12)
    counts = draw(12, 6)
    found = class_scores.of_several_classes(*as_arrays(images), counts)
    for row, values in zip(counts, found, strict=True):
        report = metric_of([images[k] for k in np.repeat(np.arange(12), row)]).compute()
        np.testing.assert_allclose(values, [report[key] for key in class_scores.OF_SEVERAL_CLASSES], atol=1e-9)


@pytest.mark.parametrize(("found", "of"), [(0, 10), (3, 20), (10, 10), (1, 1)])
def test_exact_intervals_are_those_of_scipy(found: int, of: int) -> None:
    reference = binomtest(found, of).proportion_ci(method="exact")
    assert exact_interval(found, of) == pytest.approx((reference.low, reference.high))
    assert exact_interval(0, 10)[1] == pytest.approx(1 - 0.025**0.1), "none of ten may yet be three of ten"
