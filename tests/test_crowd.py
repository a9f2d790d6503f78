"""Crowd regions: detections inside them are neither right nor false, as in COCO, in every place that counts."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from metric_cases import A, B, found, random_images, report, truth
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lightdet.core.annotation import Boxes
from lightdet.core.types import Detections, Target
from lightdet.data.cache import ImageCache
from lightdet.data.dataset import ImageDataset, LetterboxedImages
from lightdet.data.record import Record
from lightdet.draw.detection_files import write_files
from lightdet.draw.pictures import compare
from lightdet.metric.average_precision import average_precision
from lightdet.metric.bootstrap import class_precisions, mean_precisions
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.detections_file import read_detections
from lightdet.metric.frame import target_to_original
from lightdet.metric.match_record import match_records
from lightdet.ops.letterbox import place

CLASSES = 4
REGION = [300.0, 0, 400, 100]
INSIDE = [310.0, 10, 330, 30]


def with_crowd(target: Target, *regions: tuple[list[float], int]) -> Target:
    target.crowd_xyxy = torch.tensor([box for box, _ in regions], dtype=torch.float32).reshape(-1, 4)
    target.crowd_labels = torch.tensor([label for _, label in regions], dtype=torch.int64)
    return target


def crowded(seed: int) -> tuple[list[Detections], list[Target]]:
    """Random images, half of them with crowd regions, also of a class that has no other ground truth there."""
    detections, targets = random_images(seed, images=24, classes=CLASSES)
    sound = [(one.boxes_xyxy[:, 2:] > one.boxes_xyxy[:, :2]).all(dim=1) for one in detections]  # of any area for COCO
    detections = [
        Detections(one.boxes_xyxy[kept], one.scores[kept], one.labels[kept])
        for one, kept in zip(detections, sound, strict=True)
    ]
    rng = np.random.default_rng(seed)
    for target in targets[::2]:
        corner = rng.uniform(0, 300, (2, 2))
        regions = np.concatenate((corner, corner + rng.uniform(60, 200, (2, 2))), axis=1).round()
        with_crowd(target, *((box, int(rng.integers(0, CLASSES))) for box in regions.tolist()))
    return detections, targets


def by_pycocotools(detections: list[Detections], targets: list[Target]) -> np.ndarray:
    """(10 IoU thresholds, 101 recalls, classes); -1: no ground truth of the class."""
    truths, results = [], []
    for image, (found_boxes, target) in enumerate(zip(detections, targets, strict=True), start=1):
        boxes = torch.cat((target.boxes_xyxy, target.crowd_xyxy)).double()
        labels = torch.cat((target.labels, target.crowd_labels)).tolist()
        for number, ((x1, y1, x2, y2), label) in enumerate(zip(boxes.tolist(), labels, strict=True)):
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "category_id": label + 1}
            crowd = int(number >= len(target.labels))
            truths.append({**box, "image_id": image, "id": len(truths) + 1, "iscrowd": crowd})
        for (x1, y1, x2, y2), score, label in zip(
            found_boxes.boxes_xyxy.double().tolist(),
            found_boxes.scores.double().tolist(),
            found_boxes.labels.tolist(),
            strict=True,
        ):
            results.append({"image_id": image, "category_id": label + 1, "score": score})
            results[-1]["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image + 1} for image in range(len(targets))],
        "categories": [{"id": label + 1} for label in range(CLASSES)],
        "annotations": truths,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, -1]


@pytest.mark.parametrize("seed", range(6))
def test_both_ways_to_average_precision_agree_with_pycocotools(seed: int, tmp_path: Path) -> None:
    detections, targets = crowded(seed)
    oracle = by_pycocotools(detections, targets)
    known = [label for label in range(CLASSES) if oracle[..., label].max() > -1]
    ours = average_precision(detections, targets)
    assert sorted(ours.precision) == known
    for label in known:
        np.testing.assert_allclose(ours.precision[label], oracle[..., label], atol=1e-12)

    metric = DetectionMetric([f"class {label}" for label in range(CLASSES)])
    for number, (one, target) in enumerate(zip(detections, targets, strict=True)):
        target.image_id = f"{number}.png"
        metric.add(one, target)
    numbers = metric.compute()
    write_files(tmp_path, numbers, metric, [])
    kept = read_detections(tmp_path / "detections.json")
    records = match_records(kept.images, CLASSES)
    each_once = np.ones((1, len(targets)), np.int64)
    by_class = class_precisions(records, each_once)[0]
    for label in range(CLASSES):
        expected = oracle[..., label].mean(axis=1) if label in known else np.full(10, np.nan)
        np.testing.assert_allclose(by_class[label], expected, atol=1e-9)
    assert mean_precisions(records, each_once)[0, 0] == pytest.approx(numbers["map50"], abs=1e-9)
    twice = mean_precisions(records, 2 * each_once)  # every image drawn twice
    doubled = average_precision([one for one in detections for _ in "ab"], [one for one in targets for _ in "ab"])
    assert twice[0, -1] == pytest.approx(doubled.mean(), abs=1e-9)


def test_counts_by_hand() -> None:
    target = with_crowd(truth((A, 0)), (REGION, 0))
    detections = found((A, 0, 0.9), (INSIDE, 0, 0.8), (INSIDE, 1, 0.7), (B, 0, 0.6))
    numbers = report([detections], [target], threshold=0.5)
    scratch, dent = numbers["per_class"]["scratch"], numbers["per_class"]["dent"]
    assert (scratch["found"], scratch["false_alarms"], scratch["missed"]) == (1, 1, 0), "B alone is a false alarm"
    assert dent["false_alarms"] == 1, "a region is of one class"
    assert numbers["confusion"]["matrix"] == [[1, 0, 0], [0, 0, 0], [1, 1, 0]]
    assert scratch["ap50"] == pytest.approx(1.0) and scratch["truths"] == 1
    seen = compare(detections, target, 0.5)
    assert seen.false_alarms == 2 and seen.missed == 0


def test_a_region_makes_an_image_defective_and_a_detection_in_it_rejects_the_image() -> None:
    only_crowd = with_crowd(truth(), (REGION, 0))
    point = report([found((INSIDE, 0, 0.8)), found()], [only_crowd, only_crowd], threshold=0.5)["operating_point"]
    assert (point["defective_images"], point["escaped_images"], point["good_images"]) == (2, 1, 0)
    assert (point["found"], point["false_alarms"], point["missed"]) == (0, 0, 0)


def test_the_best_threshold_does_not_count_them() -> None:
    target = with_crowd(truth((A, 0), (B, 0)), (REGION, 0))
    inside = [([300.0 + 5 * k, 20, 310.0 + 5 * k, 40], 0, 0.9) for k in range(12)]
    numbers = report([found((A, 0, 0.8), (B, 0, 0.3), *inside)], [target])
    assert numbers["operating_point"]["threshold"] == pytest.approx(0.3)
    assert numbers["operating_point"]["f1"] == 1


def test_regions_reach_the_targets_of_a_measurement_in_the_input_frame_and_back(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    one = np.array([[10, 10, 20, 20]], np.float32)
    region = np.array([[100, 40, 180, 90]], np.float32)
    record = Record("a.png", tmp_path / "a.png", Boxes(one, np.array([1]), region, np.array([0])))
    images = LetterboxedImages([record], 64, ImageCache(1, 64, 0))
    _, target = ImageDataset(images, None, 0, -1)[0, 0]
    assert target.labels.tolist() == [1] and target.crowd_labels.tolist() == [0]
    placed = place(100, 200, 64)
    expected = [100 * placed.scale_x, 40 * placed.scale_y + placed.top, 180 * placed.scale_x]
    assert target.crowd_xyxy[0, :3].tolist() == pytest.approx(expected)
    back = target_to_original(target)
    assert back.crowd_xyxy[0].tolist() == pytest.approx(region[0].tolist())
    assert back.crowd_labels.tolist() == [0]
