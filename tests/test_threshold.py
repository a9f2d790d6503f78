"""The threshold that bounds what escapes: exact bounds, hand-worked, and held on images that did not choose it."""

import math

import numpy as np
import pytest

from lightdet.core.errors import LightdetError
from lightdet.metric.escape_bound import box_threshold, escapes_allowed, escapes_expected, missed_share, threshold_at
from lightdet.metric.escape_curve import cheapest
from lightdet.metric.exact_interval import images_needed, interval, lower_bound, upper_bound
from lightdet.metric.image_scores import NONE, ImageScores, of_detections
from lightdet.metric.match_record import ImageBoxes
from lightdet.metric.promised import Asked, choose, percent, rejected


def scores_of(defective: list[float], good: list[float], by_class: np.ndarray | None = None) -> ImageScores:
    """One class unless `by_class` (I, C) is given, whose best score is then an image's."""
    overall = np.array([*defective, *good]) if by_class is None else by_class.max(axis=1)
    bad = np.arange(len(overall)) < len(defective)
    table = overall[:, None] if by_class is None else by_class
    present = np.zeros(table.shape, bool)
    present[bad, table[bad].argmax(axis=1)] = True
    none = np.zeros(0)
    ids = tuple(map(str, range(len(overall))))
    names = tuple("abcdef"[: table.shape[1]])
    boxes = np.zeros(len(ids), int)
    return ImageScores(ids, names, None, overall, table, present, bad, none, none.astype(int), boxes)


def test_bounds_are_those_of_the_binomial_worked_by_hand() -> None:
    assert upper_bound(0, 10, 0.95) == pytest.approx(1 - 0.05**0.1)  # (1 - p)^10 = 0.05
    assert lower_bound(10, 10, 0.95) == pytest.approx(0.05**0.1)
    assert interval(0, 20) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))
    p = upper_bound(1, 2, 0.9)  # of two images at most one: 1 - p^2 = 0.1
    assert p == pytest.approx(math.sqrt(0.9))
    p = upper_bound(2, 50, 0.95)
    tail = sum(math.comb(50, k) * p**k * (1 - p) ** (50 - k) for k in range(3))
    assert tail == pytest.approx(0.05)
    assert (upper_bound(5, 5, 0.95), lower_bound(0, 5, 0.95), upper_bound(0, 0, 0.95)) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize(("share", "confidence", "needed"), [(0.01, 0.95, 299), (0.05, 0.95, 59), (0.1, 0.9, 22)])
def test_images_needed_without_an_escape_are_the_least(share: float, confidence: float, needed: int) -> None:
    assert images_needed(share, confidence) == needed == math.ceil(math.log(1 - confidence) / math.log(1 - share))
    assert escapes_allowed(needed, share, confidence) == 0
    assert escapes_allowed(needed - 1, share, confidence) == -1


def test_allowed_escapes_are_the_most_that_the_exact_test_and_the_expectation_pass() -> None:
    assert [escapes_allowed(n, 0.05, 0.95) for n in (58, 59, 92, 93, 124)] == [-1, 0, 0, 1, 2]  # Wilks: 59, 93, 124
    assert [escapes_expected(n, 0.1) for n in (8, 9, 18, 19, 29)] == [-1, 0, 0, 1, 2]  # (k + 1) / (n + 1) <= 0.1


def test_a_promise_about_a_lot_counts_its_own_chance_too() -> None:
    """Below the least of n scores lies one of m further ones with probability m / (n + m)."""
    assert [escapes_allowed(n, 0.05, 0.95, lot=2) for n in (37, 38)] == [-1, 0]  # none of 2 may: 2 / (n + 2) <= 0.05
    assert escapes_allowed(700, 0.05, 0.95, lot=700) < escapes_allowed(700, 0.05, 0.95)
    assert escapes_allowed(700, 0.05, 0.95, lot=1_000_000) == escapes_allowed(700, 0.05, 0.95)
    rng = np.random.default_rng(7)
    bad, kept = rng.beta(4, 2, 1400), 0
    for _ in range(200):
        order = rng.permutation(1400)
        chosen = choose(scores_of(bad[order[:700]].tolist(), []), Asked(0.05, 0.95, lot=700))
        kept += int((bad[order[700:]] < chosen.threshold).sum()) <= 35
    assert kept >= 190, "what is counted in the other half stays within the bound"


def test_the_threshold_is_just_below_the_score_that_decides() -> None:
    scores = np.array([0.9, 0.2, 0.5, NONE])
    assert threshold_at(scores, 0) is None, "one image has no score, so one escapes at any threshold"
    assert threshold_at(scores, 1) == pytest.approx(0.2, rel=2e-5)
    assert 0.499 < (threshold_at(scores, 2) or 0) < 0.5
    assert threshold_at(scores, -1) is None


def test_box_level_is_conformal_risk_control_of_the_share_of_an_image() -> None:
    """Three images with 1, 2 and 1 boxes, found at 0.9; 0.8 and 0.3; 0.6. Missed shares sum at 0.9 to 2, at 0.8 to 1.5,
    at 0.6 to 0.5, at 0.3 to 0; (sum + 1) / 4 is 0.75, 0.625, 0.375, 0.25."""
    found, weights = np.array([0.9, 0.8, 0.3, 0.6]), np.array([1, 0.5, 0.5, 1])
    for escape, score in ((0.75, 0.9), (0.7, 0.8), (0.4, 0.6), (0.375, 0.6), (0.25, 0.3)):
        assert box_threshold(found, weights, 3, escape) == pytest.approx(score, rel=2e-5)
    assert box_threshold(found, weights, 3, 0.24) is None
    assert missed_share(found, weights, 3, 0.7) == pytest.approx(1.5 / 3)


def test_detections_become_scores_as_predict_reports_them() -> None:
    """A better box of another class over the right one drops it, as predict does; the image is rejected anyway."""
    truth = np.array([[0, 0, 10, 10, 0], [20, 20, 30, 30, 1]], float)
    hidden = np.array([[0, 0, 10, 10, 0.4, 0], [0, 0, 10, 9, 0.7, 1], [20, 20, 30, 30, 0.3, 1]])
    crowd = np.array([[0, 0, 5, 5, 1]], float)
    images = [ImageBoxes(hidden, truth), ImageBoxes(np.zeros((0, 6)), np.zeros((0, 5)), crowd)]
    scores = of_detections(["x", "y"], ["a", "b"], images, 0.5)
    assert scores.overall.tolist() == [0.7, NONE]
    assert scores.by_class[0].tolist() == [0.4, 0.7]
    assert scores.found.tolist() == [0.3], "the box of class a is under that of class b"
    assert (scores.boxes.tolist(), scores.defective.tolist()) == ([2, 0], [True, True])
    assert of_detections(["x", "y"], ["a", "b"], images, 1.0).found.tolist() == [0.4, 0.3]


def test_escapes_stay_within_the_bound_on_images_that_did_not_choose() -> None:
    """200 re-splits of 2,000 images, 600 of them good: half choose, the other half and the law of the scores judge."""
    rng = np.random.default_rng(7)
    bad, good = rng.beta(4, 2, 1400), rng.beta(2, 5, 600)
    truly = np.sort(rng.beta(4, 2, 200_000))  # the law, as good as exact
    kept = {"images": 0, "law": 0}
    expected = []
    for _ in range(200):
        order = rng.permutation(1400)
        chosen = choose(scores_of(bad[order[:700]].tolist(), good[:300].tolist()), Asked(0.05, 0.95))
        other = scores_of(bad[order[700:]].tolist(), good[300:].tolist())
        escaped = int((~rejected(other, chosen) & other.defective).sum())
        kept["images"] += lower_bound(escaped, 700, 0.95) <= 0.05
        fresh = choose(scores_of(rng.beta(4, 2, 700).tolist(), []), Asked(0.05, 0.95))
        kept["law"] += np.searchsorted(truly, fresh.threshold) / len(truly) <= 0.05
        mean = choose(scores_of(rng.beta(4, 2, 700).tolist(), []), Asked(0.05, expected=True))
        expected.append(np.searchsorted(truly, mean.threshold) / len(truly))
    assert kept["images"] >= 190
    assert kept["law"] >= 186, "95 % of 200, less a binomial deviation of 1.3"
    assert 0.045 < np.mean(expected) < 0.0515, "the mean promise is kept, and by no more than it must"
    assert np.mean(np.array(expected) > 0.05) > 0.3, "it is no promise with confidence"


def test_thresholds_of_classes_hold_together() -> None:
    rng = np.random.default_rng(3)
    label = np.arange(1200) % 3
    table = rng.uniform(0, 0.3, (1200, 3))
    table[np.arange(1200), label] = 0.3 + 0.7 * rng.beta(2, 2 + label)
    chosen = choose(scores_of([0.0] * 1200, [], table), Asked(0.05, 0.95, per_class=True))
    assert chosen.thresholds is not None and len(set(chosen.thresholds)) == 3
    assert chosen.threshold == min(chosen.thresholds)
    allowed = escapes_allowed(400, 0.05, 1 - 0.05 / 3)
    assert 0 < allowed < escapes_allowed(400, 0.05, 0.95), "each class needs more confidence than all together"
    for place, least in enumerate(chosen.thresholds):
        mine = table[label == place, place]
        assert (mine < least).sum() == allowed


def test_the_cheapest_threshold_weighs_the_prices_and_the_share_of_the_line() -> None:
    """Defective 0.2, 0.6, 0.8, 0.9, good 0.1, 0.3, 0.5, 0.7. At a tenth defective and 9 to 1, cost is 0.9 times the sum
    of both shares, at 0.2: 0.9 x 0.75, at 0.3: 0.9 x (0.25 + 0.75), at 0.6: 0.9 x (0.25 + 0.25), at 0.8: 0.9 x 0.5."""
    bad, good = np.array([0.2, 0.6, 0.8, 0.9]), np.array([0.1, 0.3, 0.5, 0.7])
    even = cheapest(bad, good, (9, 1), 0.1)
    assert even.threshold == pytest.approx(0.6, rel=2e-5), "of 0.6 and 0.8 the one at which less escapes"
    assert even.cost == pytest.approx(0.45)
    assert even.elsewhere > even.cost
    assert cheapest(bad, good, (90, 1), 0.1).threshold == pytest.approx(0.2, rel=2e-5)
    assert cheapest(bad, good, (9, 1), 0.001).threshold == pytest.approx(0.8, rel=2e-5)
    low, high = even.cost_interval
    assert low <= even.cost <= high


def test_too_few_images_are_told_with_the_number_that_would_do_and_the_best_promise() -> None:
    few = choose(scores_of([0.5] * 100, [0.1]), Asked())
    (reason,) = few.missing
    assert "at least 299 are needed" in reason and "best promise of these images is 2.96 %" in reason
    best = choose(scores_of([0.5] * 100, [0.1]), Asked(0.0296))
    assert not best.missing, "what is called the best promise can be asked for"
    (unseen,) = choose(scores_of([NONE] * 30 + [0.5] * 970, []), Asked()).missing
    assert "30 of 1000 defective images have no box of any score" in unseen
    assert percent(0.029512, up=True) == "2.96 %"


@pytest.mark.parametrize(
    ("scores", "asked", "told"),
    [
        (scores_of([], [0.1, 0.2]), Asked(), "none of the 2 images is defective"),
        (scores_of([0.5], []), Asked(prices=(10, 1)), "none of the 1 images is good"),
        (scores_of([0.5], [0.1]), Asked(level="box"), "no ground-truth boxes"),
    ],
)
def test_what_says_nothing_is_refused_in_a_line(scores: ImageScores, asked: Asked, told: str) -> None:
    with pytest.raises(LightdetError, match=told):
        choose(scores, asked)
