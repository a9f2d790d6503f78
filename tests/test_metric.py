"""Metrics against perfect, hopeless and hand-worked cases, and against pycocotools."""

import contextlib
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections, Letterbox, Target
from lightdet.metric.confusion import confusion_matrix
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.frame import detections_to_original, target_to_original
from lightdet.metric.matching import UNMATCHED, greedy, match
from lightdet.metric.operating_point import best_f1_threshold, count, sort_images
from lightdet.ops.letterbox import boxes_to_input

HERE = Letterbox(1.0, 1.0, 0.0, 0.0, 1000, 1000)
A, B, FAR = [0.0, 0, 10, 10], [100.0, 100, 120, 120], [500.0, 500, 540, 540]
NAMES = ("scratch", "dent")


def truth(*boxes: tuple[list[float], int], image_id: str = "a.png") -> Target:
    corners = torch.tensor([box for box, _ in boxes], dtype=torch.float32).reshape(-1, 4)
    return Target(corners, torch.tensor([label for _, label in boxes], dtype=torch.int64), image_id, HERE)


def found(*boxes: tuple[list[float], int, float]) -> Detections:
    boxes = tuple(sorted(boxes, key=lambda box: -box[2]))
    return Detections(
        torch.tensor([box for box, _, _ in boxes], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([score for _, _, score in boxes], dtype=torch.float32),
        torch.tensor([label for _, label, _ in boxes], dtype=torch.int64),
    )


def report(
    detections: list[Detections], targets: list[Target], names: tuple[str, ...] = NAMES, **options: Any
) -> dict[str, Any]:
    metric = DetectionMetric(names)
    for one, target in zip(detections, targets, strict=True):
        metric.add(one, target)
    numbers = metric.compute(**options)
    json.dumps(numbers, allow_nan=False)  # plain types, nothing infinite
    return numbers


def test_perfect_detections_score_one() -> None:
    numbers = report([found((A, 0, 0.9), (B, 1, 0.8))], [truth((A, 0), (B, 1))])
    assert (numbers["map50"], numbers["map75"], numbers["map50_95"]) == (1.0, 1.0, 1.0)
    assert all(row["f1"] == 1.0 for row in numbers["per_class"].values())
    assert numbers["confusion"]["matrix"] == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert numbers["operating_point"]["escape_rate"] == 0.0
    assert numbers["operating_point"]["threshold"] == pytest.approx(0.8)


def test_disjoint_detections_score_zero() -> None:
    numbers = report([found((FAR, 0, 0.9))], [truth((A, 0))])
    assert (numbers["map50"], numbers["map50_95"]) == (0.0, 0.0)
    point = numbers["operating_point"]
    assert point["chosen"].startswith("default") and point["threshold"] == 0.5
    assert (point["precision"], point["recall"], point["f1"]) == (0.0, 0.0, 0.0)


def test_average_precision_worked_by_hand() -> None:
    # Two truths; by score: right, wrong, right. Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.
    # Interpolated: 1 at the 51 points 0..0.50, 2/3 at the 50 points 0.51..1.
    numbers = report([found((A, 0, 0.9), (FAR, 0, 0.8), (B, 0, 0.7))], [truth((A, 0), (B, 0))])
    by_hand = (51 * 1 + 50 * 2 / 3) / 101
    assert numbers["per_class"]["scratch"]["ap50"] == pytest.approx(by_hand, abs=1e-12)
    curve = numbers["curves"]["scratch"]
    assert curve["precision"][50] == 1.0 and curve["precision"][51] == pytest.approx(2 / 3)
    assert curve["recall"][0] == 0.0 and curve["recall"][-1] == 1.0 and len(curve["recall"]) == 101
    # F1 is 2/3, 1/2, 4/5 at the three scores: the lowest one wins.
    point = numbers["operating_point"]
    assert point["threshold"] == pytest.approx(0.7) and point["f1"] == pytest.approx(0.8)
    assert point["precision"] == pytest.approx(2 / 3) and point["recall"] == 1.0


def test_a_box_of_iou_three_quarters_counts_at_six_of_ten_thresholds() -> None:
    # (0,0,10,10) and (0,0,10,7.6): IoU 0.76, so right at 0.50 .. 0.75 and wrong at 0.80 .. 0.95.
    numbers = report([found(([0.0, 0, 10, 7.6], 0, 0.9))], [truth((A, 0))])
    row = numbers["per_class"]["scratch"]
    assert (row["ap50"], row["ap75"]) == (1.0, 1.0)
    assert row["ap50_95"] == pytest.approx(0.6, abs=1e-12)


def test_a_second_detection_of_the_same_truth_is_a_false_alarm() -> None:
    numbers = report([found((A, 0, 0.9), (A, 0, 0.6))], [truth((A, 0))], threshold=0.5)
    row = numbers["per_class"]["scratch"]
    assert (row["found"], row["false_alarms"], row["missed"]) == (1, 1, 0)


def test_recall_bins_are_not_moved_by_float32() -> None:
    # 3 of 5 truths found: recall is exactly 0.6, so 61 of 101 points (0..0.60) have precision 1. The float32 nearest to
    # 0.6 is 0.60000002, which would make it 60.
    boxes = [[50.0 * k, 0, 50.0 * k + 10, 10] for k in range(5)]
    numbers = report([found(*((box, 0, 0.9) for box in boxes[:3]))], [truth(*((box, 0) for box in boxes))])
    assert numbers["per_class"]["scratch"]["ap50"] == pytest.approx(61 / 101, abs=1e-12)


def test_a_class_without_truth_has_no_ap_and_its_false_alarms_are_told() -> None:
    numbers = report([found((A, 0, 0.9), (B, 1, 0.8))], [truth((A, 0))], threshold=0.5)
    absent = numbers["per_class"]["dent"]
    assert absent["ap50"] is None and absent["ap75"] is None and absent["ap50_95"] is None
    assert (absent["truths"], absent["predictions"], absent["false_alarms"]) == (0, 1, 1)
    assert (absent["precision"], absent["recall"]) == (0.0, None)
    assert numbers["map50"] == 1.0, "the mean is over the classes that have truth"
    assert "dent" not in numbers["curves"]


def test_a_class_never_predicted_counts_as_zero() -> None:
    numbers = report([found((A, 0, 0.9))], [truth((A, 0), (B, 1))])
    assert numbers["per_class"]["dent"]["ap50"] == 0.0
    assert numbers["per_class"]["dent"]["precision"] is None
    assert numbers["map50"] == 0.5


@pytest.mark.parametrize("full", [True, False])
def test_empty_images_are_finite(full: bool) -> None:
    nothing = report([Detections.none()], [truth()], full=full)
    assert nothing["map50"] is None and nothing["images"] == 1
    only_alarms = report([found((A, 0, 0.9))], [truth()], full=full)
    assert only_alarms["map50"] is None and only_alarms["per_class"]["scratch"]["predictions"] == 1
    only_misses = report([Detections.none()], [truth((A, 0))], full=full)
    assert only_misses["map50"] == 0.0
    assert report([], [], full=full)["images"] == 0


def test_the_short_form_agrees_with_the_full_one() -> None:
    detections, targets = random_images(seed=5, images=12)
    names = ("a", "b", "c", "d")
    short, long = report(detections, targets, names, full=False), report(detections, targets, names)
    assert short.keys() < long.keys()
    for name, row in short["per_class"].items():
        assert row == {key: long["per_class"][name][key] for key in row}
    assert (short["map50"], short["map75"], short["map50_95"]) == (long["map50"], long["map75"], long["map50_95"])


def test_reset_forgets() -> None:
    metric = DetectionMetric(NAMES)
    metric.update([found((FAR, 0, 0.9))], [truth((A, 0))])
    metric.reset()
    metric.update([found((A, 0, 0.9))], [truth((A, 0))])
    assert metric.compute(full=False)["map50"] == 1.0
    assert metric.compute()["images"] == 1, "computing twice changes nothing"


def test_broken_input_is_refused_by_name() -> None:
    metric = DetectionMetric(NAMES)
    with pytest.raises(LightdetError, match=r"a\.png.*NaN"):
        metric.update([found(([0.0, 0, float("nan"), 1], 0, 0.9))], [truth((A, 0))])
    with pytest.raises(LightdetError, match=r"a\.png.*outside 0\.\.1"):
        metric.update([found((A, 2, 0.9))], [truth((A, 0))])
    with pytest.raises(LightdetError, match="one per image"):
        metric.update([found((A, 0, 0.9))], [])


# ---------------------------------------------------------------- the oracle


def random_images(seed: int, images: int = 40, classes: int = 4) -> tuple[list[Detections], list[Target]]:
    """Jittered truth, wrong classes, noise, images without truth, crowded images with over 100 boxes of a class."""
    rng = np.random.default_rng(seed)
    detections, targets = [], []
    for index in range(images):
        count = 0 if index % 7 == 3 else int(rng.integers(1, 12))
        corner, size = rng.uniform(0, 400, (count, 2)), rng.uniform(5, 90, (count, 2))
        boxes = np.concatenate((corner, corner + size), axis=1)
        labels = rng.integers(0, classes - 1, count)  # the last class is never true
        jittered = boxes + rng.normal(0, 4, boxes.shape)
        mistaken = np.where(rng.random(count) < 0.15, rng.integers(0, classes, count), labels)
        noise = 450 if index == 5 else int(rng.integers(0, 20))
        corner, size = rng.uniform(0, 400, (noise, 2)), rng.uniform(5, 90, (noise, 2))
        all_boxes = np.concatenate((jittered, jittered + 1.5, np.concatenate((corner, corner + size), axis=1)))
        all_labels = np.concatenate((mistaken, mistaken, rng.integers(0, classes, noise)))
        scores = np.concatenate((rng.uniform(0.3, 1, count), rng.uniform(0, 1, count + noise))).round(2)  # with ties
        order = np.argsort(-scores, kind="stable")
        detections.append(
            Detections(
                torch.tensor(all_boxes[order], dtype=torch.float32),
                torch.tensor(scores[order], dtype=torch.float32),
                torch.tensor(all_labels[order]),
            )
        )
        targets.append(Target(torch.tensor(boxes, dtype=torch.float32), torch.tensor(labels), f"{index}.png", HERE))
    return detections, targets


def coco_precision(detections: list[Detections], targets: list[Target], classes: int) -> np.ndarray:
    """pycocotools on the same boxes: (10 IoU, 101 recall, classes)."""
    images = [{"id": index} for index in range(len(targets))]
    truths: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for index, (one, target) in enumerate(zip(detections, targets, strict=True)):
        for box, label in zip(target.boxes_xyxy.double().tolist(), target.labels.tolist(), strict=True):
            truths.append({"id": len(truths) + 1, "image_id": index, "category_id": label, "iscrowd": 0, **_xywh(box)})
        for box, label, score in zip(
            one.boxes_xyxy.double().tolist(), one.labels.tolist(), one.scores.double().tolist(), strict=True
        ):
            results.append({"image_id": index, "category_id": label, "score": score, **_xywh(box)})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": images,
            "annotations": truths,
            "categories": [{"id": label} for label in range(classes)],
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
    return run.eval["precision"][:, :, :, 0, -1]


def _xywh(box: list[float]) -> dict[str, Any]:
    width, height = box[2] - box[0], box[3] - box[1]
    return {"bbox": [box[0], box[1], width, height], "area": width * height}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agrees_with_pycocotools(seed: int) -> None:
    detections, targets = random_images(seed)
    names = ("a", "b", "c", "never")
    oracle = coco_precision(detections, targets, len(names))
    numbers = report(detections, targets, names)
    assert numbers["map50"] == pytest.approx(oracle[0][:, :3].mean(), abs=1e-9)
    assert numbers["map75"] == pytest.approx(oracle[5][:, :3].mean(), abs=1e-9)
    assert numbers["map50_95"] == pytest.approx(oracle[:, :, :3].mean(), abs=1e-9)
    assert 0.2 < numbers["map50"] < 0.95, "a case that could tell two evaluators apart"
    for label, name in enumerate(names[:3]):
        assert numbers["per_class"][name]["ap50_95"] == pytest.approx(oracle[:, :, label].mean(), abs=1e-9)
        np.testing.assert_allclose(numbers["curves"][name]["precision"], oracle[0, :, label], atol=1e-9)
    assert (oracle[:, :, 3] == -1).all() and numbers["per_class"]["never"]["ap50"] is None


# ---------------------------------------------------------------- matching and thresholds


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


# ---------------------------------------------------------------- frame and processes


def test_boxes_come_back_to_the_photo() -> None:
    placed = Letterbox(scale_x=0.5, scale_y=0.5, left=0.0, top=25.0, original_height=100, original_width=200)
    photo = truth(([20.0, 10, 60, 90], 0))
    there = boxes_to_input(photo.boxes_xyxy, placed)
    assert there.tolist() == [[10.0, 30.0, 30.0, 70.0]]
    assert target_to_original(Target(there, photo.labels, "a", placed)).boxes_xyxy.tolist() == photo.boxes_xyxy.tolist()
    raw = found((there[0].tolist(), 0, 0.9), ([0.0, 0, 50, 20], 0, 0.8), ([90.0, 60, 130, 90], 0, 0.7))
    back = detections_to_original(raw, placed)
    assert back.boxes_xyxy.tolist() == [[20.0, 10.0, 60.0, 90.0], [180.0, 70.0, 200.0, 100.0]], "border only: dropped"
    assert back.scores.tolist() == pytest.approx([0.9, 0.7])


def test_every_process_gets_the_numbers_of_the_whole_set(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = DetectionMetric(NAMES)
    mine.update([found((A, 0, 0.9)), Detections.none()], [truth((A, 0)), truth((B, 0), image_id="b.png")])
    other = DetectionMetric(NAMES)
    other.update([found((A, 0, 0.9))], [truth((A, 0))])  # the sampler repeats an image to fill up
    other.update([found((FAR, 0, 0.5))], [truth((FAR, 0), image_id="c.png")])

    monkeypatch.setattr("lightdet.metric.detection.gather", lambda value: [value, other.images])
    numbers = mine.compute()
    assert numbers["images"] == 3
    assert numbers["per_class"]["scratch"]["recall"] == pytest.approx(2 / 3)
