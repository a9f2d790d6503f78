"""Matching predictions with ground truth, the operating point it gives, and the confusion matrix, by hand."""

import json

import numpy as np
import pytest
from metric_cases import FAR, A, B, found, random_images, report, truth

from lightdet.core.types import Detections
from lightdet.metric.confusion import confusion_matrix
from lightdet.metric.matching import UNMATCHED, greedy, match
from lightdet.metric.operating_point import best_f1_threshold, count, sort_images


def test_greedy_lets_the_better_score_choose_and_each_truth_serve_once() -> None:
    iou = np.array([[0.6, 0.9], [0.0, 0.95], [0.55, 0.2], [0.9, 0.9]])
    assert greedy(iou, np.array([0.9, 0.8, 0.7, 0.1])).tolist() == [1, UNMATCHED, 0, UNMATCHED]
    assert greedy(np.zeros((2, 0)), np.array([0.5, 0.4])).tolist() == [UNMATCHED, UNMATCHED]


def test_matching_needs_the_class_and_half_the_overlap() -> None:
    half, less = [0.0, 0, 10, 5], [0.0, 0, 10, 4.9]
    for box, label, right in ((half, 0, True), (less, 0, False), (A, 1, False)):
        assert match([found((box, label, 0.9))], [truth((A, 0))]).correct.tolist() == [right]


def test_matching_above_a_threshold_is_matching_of_what_is_above() -> None:
    detections, targets = random_images(seed=9)
    whole = match(detections, targets)
    for threshold in (0.25, 0.5, 0.8):
        kept = [d.scores.double() >= threshold for d in detections]
        above = [Detections(d.boxes_xyxy[k], d.scores[k], d.labels[k]) for d, k in zip(detections, kept, strict=True)]
        assert count(whole, threshold) == count(match(above, targets), 0.0)


def test_best_threshold_is_the_best_of_all_scores() -> None:
    matching = match(*random_images(seed=3))
    best = best_f1_threshold(matching)
    assert best is not None
    scores = np.unique(matching.scores)
    values = {score: count(matching, score).f1 or 0.0 for score in scores}
    assert values[best] == max(values.values())
    assert best == min(score for score, f1 in values.items() if f1 == values[best])


def test_a_threshold_never_parts_equal_scores() -> None:
    # F1 at 0.875: 2/3. If the right one of the four boxes at 0.5 could be had alone, it would be 1; with them, 4/7.
    strays = [([500.0 + 50 * k, 0, 540.0 + 50 * k, 40], 0, 0.5) for k in range(3)]
    matching = match([found((A, 0, 0.875), (B, 0, 0.5), *strays)], [truth((A, 0), (B, 0))])
    assert best_f1_threshold(matching) == 0.875
    assert count(matching, 0.5).f1 == pytest.approx(4 / 7)


def test_a_given_threshold_is_obeyed_and_includes_its_own_score() -> None:
    detections, targets = [found((A, 0, 0.25), (FAR, 0, 0.125))], [truth((A, 0))]
    at = report(detections, targets, threshold=0.25)["operating_point"]
    assert (at["threshold"], at["chosen"], at["found"], at["false_alarms"]) == (0.25, "given", 1, 0)
    assert report(detections, targets, threshold=0.26)["operating_point"]["found"] == 0
    assert report(detections, targets, threshold=0.0)["operating_point"]["false_alarms"] == 1


def test_a_threshold_survives_json() -> None:
    detections, targets = random_images(seed=4)
    names = ("a", "b", "c", "d")
    first = report(detections, targets, names)
    threshold = json.loads(json.dumps(first["operating_point"]["threshold"]))
    second = report(detections, targets, names, threshold=threshold)
    assert second["per_class"] == first["per_class"] and second["confusion"] == first["confusion"]


def test_escape_and_overkill_by_hand() -> None:
    targets = [truth((A, 0)), truth((A, 0)), truth((A, 0), (B, 1)), truth((A, 0)), truth(), truth()]
    detections = [
        found((A, 0, 0.9)),  # caught
        found((A, 0, 0.3)),  # too uncertain: escapes
        found((FAR, 1, 0.8)),  # wrong place and class, yet the gate rejects the part
        Detections.none(),  # escapes
        found((FAR, 0, 0.7)),  # a good part thrown away
        found((FAR, 0, 0.2)),  # a good part let through
    ]
    sorting = sort_images(match(detections, targets), threshold=0.5)
    assert (sorting.defective_images, sorting.escaped_images, sorting.escape_rate) == (4, 2, 0.5)
    assert (sorting.good_images, sorting.rejected_images, sorting.overkill_rate) == (2, 1, 0.5)
    point = report(detections, targets, threshold=0.5)["operating_point"]
    assert (point["escape_rate"], point["overkill_rate"], point["good_images"]) == (0.5, 0.5, 2)


def test_no_good_images_no_overkill_rate() -> None:
    point = report([found((FAR, 0, 0.9))], [truth((A, 0))])["operating_point"]
    assert point["overkill_rate"] is None and point["good_images"] == 0


def test_confusion_by_hand() -> None:
    targets = [truth((A, 0), (B, 1)), truth((FAR, 1))]
    detections = [
        found((A, 1, 0.9), (A, 0, 0.6), (B, 0, 0.7), (FAR, 0, 0.8), (B, 1, 0.1)),
        Detections.none(),
    ]
    # A is found by its class 0 box although the class 1 box is surer; that one hits nothing else and is a false alarm.
    # B's own class is below the threshold, so the class 0 box on it is a mix-up. The dent of the other image is missed.
    matrix = confusion_matrix(detections, targets, num_classes=2, threshold=0.5)
    assert matrix.tolist() == [[1, 0, 0], [1, 0, 1], [1, 1, 0]]


def test_confusion_sums_to_truths_and_detections() -> None:
    detections, targets = random_images(seed=8)
    numbers = report(detections, targets, ("a", "b", "c", "d"), threshold=0.4)
    matrix = np.array(numbers["confusion"]["matrix"])
    rows = list(numbers["per_class"].values())
    assert matrix[:4].sum(axis=1).tolist() == [row["truths"] for row in rows]
    assert matrix[:, :4].sum(axis=0).tolist() == [row["found"] + row["false_alarms"] for row in rows]
    assert np.diag(matrix)[:4].tolist() == [row["found"] for row in rows]
