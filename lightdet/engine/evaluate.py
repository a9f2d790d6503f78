"""Measuring a detector on labelled photos, in the photos' own pixels."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightdet.core.types import Batch, Detections, Target
from lightdet.data.image import read_image
from lightdet.data.record import Record
from lightdet.draw.curves import plot_confusion, plot_precision_recall
from lightdet.draw.pictures import Sample, compare, write_samples
from lightdet.metric.detection import DetectionMetric
from lightdet.metric.detections_file import FILE_NAME, write_detections
from lightdet.metric.frame import detections_to_photo, target_to_photo
from lightdet.metric.match_record import ImageBoxes
from lightdet.model.detector import Detector

MAX_PICTURES = 24
MAX_SAMPLES = 16  # images whose boxes a tracker shows
Measured = tuple[str, Detections, Target]  # image_id, both in photo px on the CPU


@torch.inference_mode()
def run_detector(detector: Detector, loader: Iterable[Batch], device: torch.device | str = "cpu") -> list[Measured]:
    """Detections and truth of every image the loader gives, an image without any finding included.

    The detector, already on `device`, runs in eval mode and is left in the mode it came in.
    """
    was_training = detector.training
    detector.eval()
    measured: list[Measured] = []
    try:
        for batch in loader:
            found = detector.detect(batch.images_on(device))
            for detections, target in zip(found, batch.targets, strict=True):
                placed = detections_to_photo(detections, target.letterbox)
                measured.append((target.image_id, placed, target_to_photo(target)))
    finally:
        detector.train(was_training)
    return measured


def evaluate(
    detector: Detector,
    loader: Iterable[Batch],
    classes: Sequence[str],
    records: Sequence[Record],
    folder: Path | None,
    device: torch.device | str = "cpu",
    threshold: float | None = None,
    max_pictures: int = MAX_PICTURES,
) -> dict[str, Any]:
    """`report_on` what the detector finds in the images that the loader gives."""
    measured = run_detector(detector, loader, device)
    return report_on(measured, classes, records, folder, threshold, max_pictures)


def report_on(
    measured: Sequence[Measured],
    classes: Sequence[str],
    records: Sequence[Record],
    folder: Path | None,
    threshold: float | None = None,
    max_pictures: int = MAX_PICTURES,
) -> dict[str, Any]:
    """The full report of `DetectionMetric.compute`, with images_without_finding: the ids of the images in which nothing
    reaches the threshold; and, where there is a folder, samples: the worst images as dicts of image_id, path, bits,
    boxes [[x1, y1, x2, y2, score, label]] and truth [[x1, y1, x2, y2, label]], px in the photo's frame.

    threshold: least score for everything that counts boxes; None: the one with the best F1 on these images.
    folder: where pictures/, pr_curve.png, confusion.png and detections.json go; None: nothing is written. The photos of
    the pictures are read from `records`.
    """
    metric = DetectionMetric(tuple(classes))
    metric.update([detections for _, detections, _ in measured], [target for _, _, target in measured])
    report = metric.compute(full=True, threshold=threshold)
    chosen = report["operating_point"]["threshold"]
    report["images_without_finding"] = [
        image_id for image_id, detections, _ in measured if not (detections.scores.double() >= chosen).any()
    ]
    if folder is not None:
        write_report(Path(folder), report, measured, classes, records, max_pictures)
    return report


def write_report(
    folder: Path,
    report: dict[str, Any],
    measured: Sequence[Measured],
    classes: Sequence[str],
    records: Sequence[Record],
    max_pictures: int = MAX_PICTURES,
) -> None:
    """What was found in each image, the curves and the worst images, as files under `folder`, and report["samples"]."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = [ImageBoxes(*boxes_and_truth(detections, target)) for _, detections, target in measured]
    write_detections(folder / FILE_NAME, classes, [image_id for image_id, _, _ in measured], kept)
    plot_precision_recall(report, folder / "pr_curve.png")
    plot_confusion(report, classes, folder / "confusion.png")
    known = {record.image_id: record for record in records}
    threshold = report["operating_point"]["threshold"]
    samples = [compare(detections, target, threshold) for image_id, detections, target in measured if image_id in known]
    worst = sorted(samples, key=lambda sample: sample.badness)[:MAX_SAMPLES]
    report["samples"] = [boxes_of(sample, known[sample.target.image_id]) for sample in worst]
    write_samples(
        folder / "pictures",
        samples,
        lambda image_id: read_image(known[image_id].path, known[image_id].bits),
        classes,
        threshold,
        max_pictures,
    )


def boxes_of(sample: Sample, record: Record) -> dict[str, Any]:
    """One image with its boxes as plain numbers."""
    boxes, truth = boxes_and_truth(sample.detections, sample.target)
    return {
        "image_id": sample.target.image_id,
        "path": str(record.path),
        "bits": record.bits,
        "boxes": [[round(value, 3) for value in row] for row in boxes.tolist()],
        "truth": [[round(value, 3) for value in row] for row in truth.tolist()],
    }


def boxes_and_truth(found: Detections, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """(N, 6) x1, y1, x2, y2, score, label and (M, 5) x1, y1, x2, y2, label, float64, in the frame of the boxes."""
    scored = torch.cat((found.boxes_xyxy.double(), found.scores[:, None], found.labels[:, None]), dim=1)
    truth = torch.cat((target.boxes_xyxy.double(), target.labels[:, None]), dim=1)
    return scored.cpu().numpy(), truth.cpu().numpy()
