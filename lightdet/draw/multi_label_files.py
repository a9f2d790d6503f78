"""The files of an evaluation with several classes of an image: probabilities.json, reliability, the wrong images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.files import write_json
from lightdet.data.record import Record
from lightdet.draw.attempt import attempt
from lightdet.draw.judged_images import JudgedImage, write_pictures
from lightdet.draw.reliability import plot_reliability
from lightdet.metric.multi_label import Answered, MultiLabelMetric
from lightdet.metric.probabilities_file import FILE_NAME

ANSWERS = ("probability of the answer, yes or no", "share of right answers")


def write_files(folder: Path, report: dict[str, Any], metric: MultiLabelMetric, records: Sequence[Record]) -> None:
    """Writes probabilities.json (`metric/probabilities_file.py`), for calibration and comparison."""
    images = [
        {
            "id": image.image_id,
            "labels": np.flatnonzero(image.shown).tolist(),
            "probabilities": image.probabilities.tolist(),
        }
        for image in metric.images
    ]
    write_json(folder / FILE_NAME, {"classes": list(metric.classes), "images": images})


def draw_files(
    folder: Path, report: dict[str, Any], metric: MultiLabelMetric, records: Sequence[Record], max_pictures: int
) -> None:
    """Draws reliability.png and pictures/ into `folder`: images with a wrong answer first, the surest mistake at the
    front. The images are read from `records`. What cannot be drawn is told in a line."""
    known = {record.image_id: record for record in records}
    least = report["operating_point"]["threshold"]
    judged = [judged_image(image, metric.classes, least) for image in metric.images]
    attempt("the reliability", lambda: plot_reliability(report, folder / "reliability.png", ANSWERS))
    attempt("the pictures", lambda: write_pictures(folder / "pictures", judged, known, max_pictures))


def judged_image(image: Answered, classes: Sequence[str], least: float) -> JudgedImage:
    """Wrong where one answer is; its title then names the mistakes first. How sure: of a wrong image the probability of
    its surest wrong answer, of a right one that of its least sure answer."""
    yes = image.probabilities >= least
    answer = np.where(yes, image.probabilities, 1 - image.probabilities)
    mistakes = yes != image.shown
    parts = {"false": yes & mistakes, "missed": ~yes & mistakes, "right": yes & ~mistakes}
    found = {word: named(classes, chosen, image.probabilities) for word, chosen in parts.items() if chosen.any()}
    title = ", ".join(f"{word} {names}" for word, names in found.items()) if mistakes.any() else found.get("right", "")
    sure = answer[mistakes].max() if mistakes.any() else answer.min()
    return JudgedImage(image.image_id, title or "no class", bool(mistakes.any()), float(sure))


def named(classes: Sequence[str], chosen: np.ndarray, probabilities: np.ndarray) -> str:
    """Such as "dent 0.91 + scratch 0.60", the most probable first."""
    ranked = [label for label in np.argsort(-probabilities, kind="stable") if chosen[label]]
    return " + ".join(f"{classes[label]} {probabilities[label]:.2f}" for label in ranked)
