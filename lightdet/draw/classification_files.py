"""The files of a classifier's evaluation: probabilities.json, confusion matrix, reliability, the wrong images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from lightdet.core.files import write_json
from lightdet.data.image import read_image
from lightdet.data.record import Record
from lightdet.draw.curves import DOTS_PER_INCH, dress, hex_colour, plot_matrix, save
from lightdet.draw.page import Cell, contact_sheet, with_header
from lightdet.draw.palette import FAINT, class_colour
from lightdet.draw.panel import panel_scale, resize
from lightdet.metric.calibration import BINS
from lightdet.metric.classification import ClassificationMetric, Judged

THUMBNAIL = 220  # px; longest side of an image on the contact sheet
OVERVIEW = "overview.png"


def write_files(
    folder: Path, report: dict[str, Any], metric: ClassificationMetric, records: Sequence[Record], max_pictures: int
) -> None:
    """Writes probabilities.json, confusion.png, reliability.png and pictures/ to `folder`: the wrong images first, the
    surest mistake at the front. The images are read from `records`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_probabilities(folder / "probabilities.json", metric)
    plot_matrix(report["confusion"]["matrix"], metric.classes, f"{report['images']} images", folder / "confusion.png")
    plot_reliability(report, folder / "reliability.png")
    known = {record.image_id: record for record in records}
    write_pictures(folder / "pictures", metric, known, max_pictures)


def write_probabilities(path: Path, metric: ClassificationMetric) -> None:
    """{"classes": [...], "images": [{"id", "label", "probabilities": [...]}]}, for calibration and comparison."""
    images = [
        {"id": image.image_id, "label": image.label, "probabilities": image.probabilities.tolist()}
        for image in metric.images
    ]
    write_json(path, {"classes": list(metric.classes), "images": images})


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
    return save(figure, path)


def write_pictures(folder: Path, metric: ClassificationMetric, known: dict[str, Record], limit: int) -> list[Path]:
    """`000-wrong-<image>.png`, the surest mistakes first, then the least sure right ones, and overview.png with all of
    them. Pictures of an earlier call are replaced. `known`: records by image id."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("[0-9][0-9][0-9]-*.png"), *folder.glob(OVERVIEW)):
        old.unlink()
    decided = metric.decisions(np.array([image.probabilities for image in metric.images]))
    ranked = sorted(zip(metric.images, decided.tolist(), strict=True), key=_badness)
    paths, cells = [], []
    for rank, (image, label) in enumerate([each for each in ranked if each[0].image_id in known][:limit]):
        record = known[image.image_id]
        pixels = read_image(record.path, record.bits)
        wrong = label != image.label
        title = f"{metric.classes[label]} {image.probabilities[label]:.2f}"
        if wrong:
            title += f", in truth {metric.classes[image.label]} {image.probabilities[image.label]:.2f}"
        page = captioned(resize(pixels, panel_scale(*pixels.shape[:2])), title, wrong, image.image_id)
        stem = record.path.stem[:60]
        paths.append(folder / f"{rank:03d}-{'wrong' if wrong else 'right'}-{stem}.png")
        Image.fromarray(page).save(paths[-1])
        small = resize(pixels, THUMBNAIL / max(pixels.shape[:2]))
        cells.append(Cell(small, title, image.image_id, wrong))
    if cells:
        wrong_ones = sum(label != image.label for image, label in ranked)
        title = f"{wrong_ones} of {len(ranked)} images are wrong"
        sheet = contact_sheet(cells, title, "the surest mistakes first, then the least sure right ones", [])
        paths.append(folder / OVERVIEW)
        Image.fromarray(sheet).save(paths[-1])
    return paths


def captioned(image: np.ndarray, text: str, alarming: bool, title: str = "") -> np.ndarray:
    """An image (H, W, 3) uint8 RGB under a line of text, and a title where one is given."""
    return with_header(image, title or text, text if title else "", alarming, [])


def _badness(judged: tuple[Judged, int]) -> tuple[bool, float, str]:
    image, label = judged
    sure = float(image.probabilities[label])
    wrong = label != image.label
    return (not wrong, -sure if wrong else sure, image.image_id)
