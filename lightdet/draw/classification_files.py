"""The files of a classifier's evaluation: probabilities.json, confusion matrix, reliability, the wrong images."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lightdet.core.errors import one_line
from lightdet.core.files import write_json
from lightdet.data.image import read_image
from lightdet.data.record import Record
from lightdet.draw.attempt import attempt, refuse_failed, replacing, save_figure, save_picture
from lightdet.draw.curves import DOTS_PER_INCH, dress, hex_colour, plot_matrix
from lightdet.draw.page import Cell, contact_sheet, with_header
from lightdet.draw.palette import FAINT, class_colour
from lightdet.draw.panel import panel_scale, resize
from lightdet.metric.calibration import BINS
from lightdet.metric.classification import ClassificationMetric, Judged

THUMBNAIL = 220  # px; longest side of an image on the contact sheet
OVERVIEW = "overview.png"
PICTURE_NAME = re.compile(r"\d{3,}-(wrong|right)-.*\.png")


def write_files(folder: Path, report: dict[str, Any], metric: ClassificationMetric, records: Sequence[Record]) -> None:
    """Writes probabilities.json: {"classes": [...], "images": [{"id", "label", "probabilities": [...]}]}, for
    calibration and comparison."""
    images = [
        {"id": image.image_id, "label": image.label, "probabilities": image.probabilities.tolist()}
        for image in metric.images
    ]
    write_json(folder / "probabilities.json", {"classes": list(metric.classes), "images": images})


def draw_files(
    folder: Path, report: dict[str, Any], metric: ClassificationMetric, records: Sequence[Record], max_pictures: int
) -> None:
    """Draws confusion.png, reliability.png and pictures/ into `folder`: the wrong images first, the surest mistake at
    the front. The images are read from `records`. What cannot be drawn is told in a line."""
    known = {record.image_id: record for record in records}
    matrix, title = report["confusion"]["matrix"], f"{report['images']} images"
    attempt("the confusion matrix", lambda: plot_matrix(matrix, metric.classes, title, folder / "confusion.png"))
    attempt("the reliability", lambda: plot_reliability(report, folder / "reliability.png"))
    attempt("the pictures", lambda: write_pictures(folder / "pictures", metric, known, max_pictures))


def plot_reliability(report: dict[str, Any], path: Path) -> Path:
    """How often images of a confidence are right, against that confidence; a strong bar has many images."""
    curve = report["calibration"]
    counts = np.asarray(curve["counts"])
    figure = Figure(figsize=(5.6, 5.2), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=hex_colour(FAINT), linewidth=1)
    for place in np.flatnonzero(counts):
        strength = 0.25 + 0.75 * counts[place] / counts.max()
        left = place / BINS
        axes.bar(
            left, curve["accuracy"][place], 1 / BINS, align="edge", color=hex_colour(class_colour(1)), alpha=strength
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability of the decided class", ylabel="share of right images")
    dress(axes, f"Calibration error {report['ece']:.3f}, {report['images']} images")
    return save_figure(figure, path)


def write_pictures(folder: Path, metric: ClassificationMetric, known: dict[str, Record], limit: int) -> list[Path]:
    """`000-wrong-<image>.png`, the surest mistakes first, then the least sure right ones, and overview.png with all of
    them. Pictures of an earlier call are replaced. `known`: records by image id. Raises LightdetError when all others
    are written, if an image could not be read or drawn."""
    decided = metric.decisions(np.array([image.probabilities for image in metric.images]))
    ranked = sorted(zip(metric.images, decided.tolist(), strict=True), key=_badness)
    shown = [each for each in ranked if each[0].image_id in known][:limit]
    cells: list[Cell] = []
    failed: list[str] = []
    with replacing(folder, lambda name: name == OVERVIEW or PICTURE_NAME.fullmatch(name)) as paths:
        for rank, (image, label) in enumerate(shown):
            wrong, record = label != image.label, known[image.image_id]
            title = f"{metric.classes[label]} {image.probabilities[label]:.2f}"
            if wrong:
                title += f", in truth {metric.classes[image.label]} {image.probabilities[image.label]:.2f}"
            try:
                pixels = read_image(record.path, record.bits)
                page = captioned(resize(pixels, panel_scale(*pixels.shape[:2])), title, wrong, image.image_id)
                name = f"{rank:03d}-{'wrong' if wrong else 'right'}-{record.path.stem[:60]}.png"
                paths.append(save_picture(page, folder / name))
                cells.append(Cell(resize(pixels, THUMBNAIL / max(pixels.shape[:2])), title, image.image_id, wrong))
            except Exception as error:
                failed.append(one_line(error))
        if cells:
            title = f"{sum(label != image.label for image, label in ranked)} of {len(ranked)} images are wrong"
            sheet = contact_sheet(cells, title, "the surest mistakes first, then the least sure right ones", [])
            paths.append(save_picture(sheet, folder / OVERVIEW))
    refuse_failed(failed, len(shown))
    return paths


def captioned(image: np.ndarray, text: str, alarming: bool, title: str = "") -> np.ndarray:
    """An image (H, W, 3) uint8 RGB under a line of text, and a title where one is given."""
    return with_header(image, title or text, text if title else "", alarming, [])


def _badness(judged: tuple[Judged, int]) -> tuple[bool, float, str]:
    image, label = judged
    sure = float(image.probabilities[label])
    wrong = label != image.label
    return (not wrong, -sure if wrong else sure, image.image_id)
