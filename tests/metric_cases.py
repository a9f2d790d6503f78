"""Predictions and ground truth for tests of the metric, written as corners, class and score; and its numbers."""

import json
from typing import Any

import numpy as np
import torch

from lightdet.core.types import Detections, Letterbox, Target
from lightdet.metric.detection import DetectionMetric

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
