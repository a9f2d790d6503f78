"""Metrics against perfect, hopeless and hand-worked cases, and against pycocotools."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from metric_cases import FAR, NAMES, A, B, found, random_images, report, truth
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections, Letterbox, Target
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.frame import detections_to_original, target_to_original
from lightdet.ops.frames import boxes_to_input


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

    monkeypatch.setattr("lightdet.distributed.gather.gather", lambda value: [value, other.images])
    numbers = mine.compute()
    assert numbers["images"] == 3
    assert numbers["per_class"]["scratch"]["recall"] == pytest.approx(2 / 3)
