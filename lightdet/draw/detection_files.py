"""The files of a detection evaluation: detections.json, curves, confusion matrix and pictures of the worst images."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightdet.core.types import Detections, Target
from lightdet.data.image import read_image
from lightdet.data.record import Record
from lightdet.draw.attempt import attempt
from lightdet.draw.curves import plot_confusion, plot_precision_recall
from lightdet.draw.pictures import Sample, compare, write_samples
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.detections_file import FILE_NAME, write_detections
from lightdet.metric.match_record import ImageBoxes

MAX_SAMPLES = 16  # images whose boxes a tracker shows


def write_files(folder: Path, report: dict[str, Any], metric: DetectionMetric, records: Sequence[Record]) -> None:
    """Writes detections.json to `folder`, and adds report["samples"].

    `samples`: the worst images as dicts of image_id, path, bits, boxes [[x1, y1, x2, y2, score, label]] and truth
    [[x1, y1, x2, y2, label]], original px; images that are not among the `records` are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = [ImageBoxes(*boxes_and_ground_truth(*image), _labelled_crowd(image[1])) for image in metric.images]
    write_detections(folder / FILE_NAME, metric.classes, [target.image_id for _, target in metric.images], kept)
    known = {record.image_id: record for record in records}
    worst = sorted(_samples(report, metric, known), key=lambda sample: sample.badness)[:MAX_SAMPLES]
    report["samples"] = [boxes_of(sample, known[sample.target.image_id]) for sample in worst]


def draw_files(
    folder: Path, report: dict[str, Any], metric: DetectionMetric, records: Sequence[Record], max_pictures: int
) -> None:
    """Draws pr_curve.png, confusion.png and pictures/ into `folder`; the images of the pictures are read from
    `records`. What cannot be drawn is told in a line."""
    known = {record.image_id: record for record in records}

    def read(image_id: str) -> np.ndarray:
        return read_image(known[image_id].path, known[image_id].bits)

    def pictures() -> None:
        samples, threshold = _samples(report, metric, known), report["operating_point"]["threshold"]
        write_samples(folder / "pictures", samples, read, metric.classes, threshold, max_pictures)

    attempt("the precision-recall curve", lambda: plot_precision_recall(report, folder / "pr_curve.png"))
    attempt("the confusion matrix", lambda: plot_confusion(report, metric.classes, folder / "confusion.png"))
    attempt("the pictures", pictures)


def _samples(report: dict[str, Any], metric: DetectionMetric, known: Container[str]) -> list[Sample]:
    threshold = report["operating_point"]["threshold"]
    return [compare(detections, target, threshold) for detections, target in metric.images if target.image_id in known]


def boxes_of(sample: Sample, record: Record) -> dict[str, Any]:
    """One image with its boxes as plain numbers."""
    boxes, ground_truth = boxes_and_ground_truth(sample.detections, sample.target)
    return {
        "image_id": sample.target.image_id,
        "path": str(record.path),
        "bits": record.bits,
        "boxes": [[round(value, 3) for value in row] for row in boxes.tolist()],
        "truth": [[round(value, 3) for value in row] for row in ground_truth.tolist()],
    }


def boxes_and_ground_truth(found: Detections, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """(N, 6) x1, y1, x2, y2, score, label and (M, 5) x1, y1, x2, y2, label, float64, in the frame of the boxes."""
    scored = torch.cat((found.boxes_xyxy.double(), found.scores[:, None], found.labels[:, None]), dim=1)
    ground_truth = torch.cat((target.boxes_xyxy.double(), target.labels[:, None]), dim=1)
    return scored.cpu().numpy(), ground_truth.cpu().numpy()


def _labelled_crowd(target: Target) -> np.ndarray:
    """(K, 5) x1, y1, x2, y2, label, float64: the crowd regions of an image."""
    return torch.cat((target.crowd_xyxy.double(), target.crowd_labels[:, None]), dim=1).cpu().numpy()
