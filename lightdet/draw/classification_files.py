"""The files of a classifier's evaluation: probabilities.json, confusion matrix, reliability, the wrong images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.files import write_json
from lightdet.data.record import Record
from lightdet.draw.attempt import attempt
from lightdet.draw.curves import plot_matrix
from lightdet.draw.judged_images import JudgedImage, write_pictures
from lightdet.draw.reliability import plot_reliability
from lightdet.metric.classification import ClassificationMetric, Judged
from lightdet.metric.probabilities_file import FILE_NAME


def write_files(folder: Path, report: dict[str, Any], metric: ClassificationMetric, records: Sequence[Record]) -> None:
    """Writes probabilities.json (`metric/probabilities_file.py`), for calibration and comparison."""
    images = [
        {"id": image.image_id, "label": image.label, "probabilities": image.probabilities.tolist()}
        for image in metric.images
    ]
    write_json(folder / FILE_NAME, {"classes": list(metric.classes), "images": images})


def draw_files(
    folder: Path, report: dict[str, Any], metric: ClassificationMetric, records: Sequence[Record], max_pictures: int
) -> None:
    """Draws confusion.png, reliability.png and pictures/ into `folder`: the wrong images first, the surest mistake at
    the front. The images are read from `records`. What cannot be drawn is told in a line."""
    known = {record.image_id: record for record in records}
    matrix, title = report["confusion"]["matrix"], f"{report['images']} images"
    attempt("the confusion matrix", lambda: plot_matrix(matrix, metric.classes, title, folder / "confusion.png"))
    attempt("the reliability", lambda: plot_reliability(report, folder / "reliability.png"))
    attempt("the pictures", lambda: write_pictures(folder / "pictures", judged_images(metric), known, max_pictures))


def judged_images(metric: ClassificationMetric) -> list[JudgedImage]:
    """The images of a metric with its decisions; how sure is the probability of the decided class."""
    decided = metric.decisions(np.array([image.probabilities for image in metric.images]))
    return [_judged(image, label, metric.classes) for image, label in zip(metric.images, decided.tolist(), strict=True)]


def _judged(image: Judged, label: int, classes: Sequence[str]) -> JudgedImage:
    sure = float(image.probabilities[label])
    title = f"{classes[label]} {sure:.2f}"
    if label != image.label:
        title += f", in truth {classes[image.label]} {image.probabilities[image.label]:.2f}"
    return JudgedImage(image.image_id, title, label != image.label, sure)
