"""mAP of resampled images, from matches made once: what COCO's tools say of the resampled images themselves."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from lightdet.core.errors import LightdetError
from lightdet.metric.bootstrap import class_precisions, draw, interval, mean_precisions
from lightdet.metric.coco import IOU_THRESHOLDS, RECALL_POINTS
from lightdet.metric.detections_file import read_detections, write_detections
from lightdet.metric.match_record import ImageBoxes, match_greedily, match_records

ROOT = Path(__file__).resolve().parent.parent
CLASSES = 4  # the last one has detections and no truth


def some_images(count: int, seed: int = 0, found: int = 30, ties: bool = True) -> list[ImageBoxes]:
    """Truths, detections around them and stray ones; scores of few digits, so that many are equal."""
    random = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        truths = int(random.integers(0, 5))
        corner, size = random.uniform(0, 140, (truths, 2)), random.uniform(15, 60, (truths, 2))
        truth = np.concatenate([corner, corner + size, random.integers(0, CLASSES - 1, (truths, 1))], axis=1)
        near = np.repeat(truth, 3, axis=0)
        near[:, :4] += random.normal(0, 4, (len(near), 4))
        corner, size = random.uniform(0, 140, (found, 2)), random.uniform(5, 60, (found, 2))
        stray = np.concatenate([corner, corner + size, random.integers(0, CLASSES, (found, 1))], axis=1)
        boxes = np.concatenate([near, stray])
        scores = np.concatenate([random.beta(2, 2, len(near)), random.beta(1, 4, found)])
        detections = np.concatenate([boxes[:, :4], scores.round(2 if ties else 9)[:, None], boxes[:, 4:]], axis=1)
        images.append(
            ImageBoxes(detections[np.argsort(-scores, kind="stable")].round(2 if ties else 9), truth.round(2))
        )
    return images


def coco_map(images: list[ImageBoxes]) -> tuple[float, float, float]:
    """faster-coco-eval itself: mAP50, mAP75, mAP50-95."""

    def boxed(box: list[float]) -> dict[str, Any]:
        x1, y1, x2, y2 = box
        return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}

    truth = [(n, row) for n, image in enumerate(images) for row in image.ground_truth.tolist()]
    found = [(n, row) for n, image in enumerate(images) for row in image.detections.tolist()]
    ground = COCO(
        {
            "info": {},
            "images": [{"id": n + 1, "width": 300, "height": 300} for n in range(len(images))],
            "categories": [{"id": label + 1, "name": str(label)} for label in range(CLASSES)],
            "annotations": [
                {"id": k + 1, "image_id": n + 1, "category_id": int(row[4]) + 1, **boxed(row[:4])}
                for k, (n, row) in enumerate(truth)
            ],
        }
    )
    results = ground.loadRes(
        [
            {"image_id": n + 1, "category_id": int(row[5]) + 1, "score": row[4], "bbox": boxed(row[:4])["bbox"]}
            for n, row in found
        ]
    )
    evaluation = COCOeval_faster(ground, results, "bbox")
    evaluation.params.iouThrs, evaluation.params.recThrs = IOU_THRESHOLDS, RECALL_POINTS
    evaluation.evaluate()
    evaluation.accumulate()
    table = evaluation.eval["precision"][:, :, :, 0, -1]
    table = table[:, :, table.max(axis=(0, 1)) > -1]
    return float(table[0].mean()), float(table[5].mean()), float(table.mean())


@pytest.mark.parametrize("ties", [True, False])
def test_the_full_set_scores_what_coco_says(ties: bool) -> None:
    images = some_images(40, ties=ties)
    means = mean_precisions(match_records(images, CLASSES), np.ones((1, 40), np.int64))
    np.testing.assert_allclose(means[0], coco_map(images), atol=1e-6)


@pytest.mark.parametrize(("ties", "seed"), [(True, 0), (True, 1), (True, 2), (False, 0)])
def test_a_resample_scores_what_coco_says_of_the_images_drawn(ties: bool, seed: int) -> None:
    images = some_images(40, seed, ties=ties)
    counts = draw(40, 3, seed)
    assert counts.max() >= 3 and counts.min() == 0
    means = mean_precisions(match_records(images, CLASSES), counts)
    for drawn, found in zip(counts, means, strict=True):
        resample = [image for image, times in zip(images, drawn, strict=True) for _ in range(times)]
        np.testing.assert_allclose(found, coco_map(resample), atol=1e-6)


def test_equal_scores_within_an_image_keep_their_order_in_every_copy() -> None:
    truth = np.array([[0.0, 0, 10, 10, 0]])
    twice = np.array([[0.0, 0, 10, 10, 0.5, 0], [50, 50, 60, 60, 0.5, 0]])  # right, wrong, at the same score
    records = match_records([ImageBoxes(twice, truth)], 1)
    # one copy: right, wrong -> 1. two copies: right, wrong, right, wrong -> precision 1 to recall 0.5, then 2/3
    once, doubled = class_precisions(records, np.array([[1], [2]]))[:, 0, 0]
    assert once == 1.0
    np.testing.assert_allclose(doubled, (51 * 1 + 50 * 2 / 3) / 101)


def test_a_class_whose_truth_was_not_drawn_is_left_out_of_the_mean() -> None:
    box = [0.0, 0, 10, 10]
    first = ImageBoxes(np.array([[*box, 0.9, 0]]), np.array([[*box, 0.0]]))
    second = ImageBoxes(np.zeros((0, 6)), np.array([[*box, 1.0]]))
    means = mean_precisions(match_records([first, second], 2), np.array([[1, 1], [2, 0], [0, 2]]))
    np.testing.assert_allclose(means[:, 0], [0.5, 1.0, 0.0])
    nothing = ImageBoxes(np.zeros((0, 6)), np.zeros((0, 5)))
    assert np.isnan(mean_precisions(match_records([nothing], 2), np.ones((1, 1), np.int64))).all()


def test_a_truth_is_found_once_and_by_the_best_score() -> None:
    iou = np.array([[0.6, 0.0], [0.9, 0.55], [0.9, 0.0]])
    right = match_greedily(iou)
    assert right[0].tolist() == [True, True, False]  # at 0.5 the second takes the free truth it has left
    assert right[2].tolist() == [True, False, False]  # at 0.6 it has none left
    assert right[4].tolist() == [False, True, False]  # at 0.7 the first finds nothing
    assert match_greedily(np.zeros((2, 0))).shape == (10, 2)


def test_resamples_are_the_same_every_time_and_of_full_size() -> None:
    assert (draw(180, 50) == draw(180, 50)).all()
    assert (draw(180, 50).sum(axis=1) == 180).all()
    low, high = interval(np.array([np.nan, *np.linspace(0, 1, 1001)]))
    np.testing.assert_allclose([low, high], [0.025, 0.975])


def test_a_thousand_resamples_of_a_validation_set_take_seconds() -> None:
    images = [
        ImageBoxes(np.concatenate([image.detections] * 2)[:90], image.ground_truth)
        for image in some_images(180, found=84, ties=True)
    ]
    began = time.process_time()
    means = mean_precisions(match_records(images, CLASSES), draw(180, 1000))
    assert time.process_time() - began < 6, "of processor time, which a busy machine does not stretch"
    assert means.shape == (1000, 3) and 0 < means[:, 2].std() < 0.1


def test_detections_come_back_as_they_were(tmp_path: Path) -> None:
    images = some_images(5)
    images[0] = ImageBoxes(np.zeros((0, 6)), np.zeros((0, 5)))
    path = tmp_path / "detections.json"
    write_detections(path, ["a", "b", "c", "</script>"], [f"ä/{k}.jpg" for k in range(5)], images)
    kept = read_detections(path)
    assert kept.classes[3] == "</script>" and kept.image_ids[4] == "ä/4.jpg"
    assert len(json.loads(path.read_text())["images"]) == 5
    for index in range(5):
        np.testing.assert_allclose(kept.images[index].detections, images[index].detections, rtol=1e-8)
        np.testing.assert_allclose(kept.images[index].ground_truth, images[index].ground_truth, rtol=1e-8)
    assert all((np.diff(image.detections[:, 4]) <= 0).all() for image in kept.images), "best first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["detections.json"]


def test_all_that_the_metric_counts_comes_back(tmp_path: Path) -> None:
    """The best hundred of each class, not of all together: a model that gives more would else be told it does not give
    its mAP."""
    images = some_images(6, found=420)
    per_class = [np.bincount(image.detections[:, 5].astype(int)) for image in images]
    assert max(counts.max() for counts in per_class) > 100 > min(counts.min() for counts in per_class)
    write_detections(tmp_path / "d.json", list("abcd"), [f"{k}.jpg" for k in range(6)], images)
    kept = read_detections(tmp_path / "d.json").images
    for image, counts in zip(kept, per_class, strict=True):
        assert np.bincount(image.detections[:, 5].astype(int)).tolist() == np.minimum(counts, 100).tolist()
    assert coco_map(list(kept)) == coco_map(images)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"classes": ["a"], "images": [{"id": "x", "detections": [[1]], "truth": []}]}',
        '{"classes": ["a"], "images": [{"id": "x", "detections": [[0, 0, 1, 1, 0.5, 7]], "truth": []}]}',
        '{"classes": ["a"], "images": [{"id": "x", "detections": [], "truth": [[0, 0, null, 1, 0]]}]}',
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "detections.json"
    path.write_text(text)
    with pytest.raises(LightdetError, match=r"detections\.json"):
        read_detections(path)


def test_the_bootstrap_does_without_torch() -> None:
    script = "import sys, lightdet.metric.bootstrap, lightdet.metric.detections_file; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
