"""Plots of a run: precision over recall, the confusion matrix, and losses and scores over the epochs.

Figures are built and drawn directly (Agg), so matplotlib's global state is neither read nor changed.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_metrics
from lightdet.core.score import Score, best_of
from lightdet.draw.attempt import save_figure
from lightdet.draw.palette import FAINT, INK, Colour, class_colour, literal
from lightdet.metric.detection_scores import AP50, MAP50

DOTS_PER_INCH = 130
LEGEND_ROWS = 18  # entries in one column of a legend
LABELLED_CLASSES = 20  # with more classes, cells of the matrix carry no numbers
BLUES = LinearSegmentedColormap.from_list("lightdet", ["#ffffff", "#1d7ddc", "#0b2f59"])


def plot_precision_recall(report: dict[str, Any], path: Path) -> Path:
    """A curve per class with ground truth, and their mean, at IoU 0.5; `report` is what `DetectionMetric` computes."""
    figure = Figure(figsize=(8.2, 5.2), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    names = list(report["per_class"])
    for name, curve in report["curves"].items():
        label = f"{literal(name)}  {report['per_class'][name][AP50.key]:.3f}"
        colour = hex_colour(class_colour(names.index(name)))
        axes.plot(curve["recall"], curve["precision"], color=colour, linewidth=1.5, label=label)
    if report["curves"]:
        curves = list(report["curves"].values())
        mean = np.mean([curve["precision"] for curve in curves], axis=0)
        label = f"mean  {report[MAP50.key]:.3f}"
        axes.plot(curves[0]["recall"], mean, color=hex_colour(INK), linewidth=2.8, label=label)
    else:
        note(axes, "no ground truth, no curve")
    _operating_point(axes, report["operating_point"])
    if axes.lines:
        legend(axes, "class and AP50")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    dress(axes, f"Precision and recall at IoU 0.5, {report['images']} images")
    return save_figure(figure, path)


def _operating_point(axes: Axes, point: dict[str, Any]) -> None:
    """The chosen threshold: all classes together, so a point that lies on no class's curve."""
    if point["precision"] is None or point["recall"] is None:
        return
    label = f"score at least {point['threshold']:.2f}, F1 {point['f1']:.2f}"
    axes.plot(point["recall"], point["precision"], "o", color=hex_colour(INK), markerfacecolor="white", label=label)


def plot_confusion(report: dict[str, Any], classes: Sequence[str], path: Path) -> Path:
    """Counts of boxes; the colour is the share of the row. The last row and column are named for what they mean."""
    title = f"Boxes at IoU {report['confusion']['iou']}, score at least {report['confusion']['threshold']:.2f}"
    return plot_matrix(report["confusion"]["matrix"], classes, title, path, ("false alarm", "missed"))


def plot_matrix(
    counts: Sequence[Sequence[int]], classes: Sequence[str], title: str, path: Path, last: tuple[str, str] | None = None
) -> Path:
    """Counts by ground truth (rows) and prediction (columns); the colour is the share of the row. `last`: the names of
    a further row and column behind those of the classes."""
    matrix = np.asarray(counts, dtype=np.int64)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(14.0, 3.4 + 0.62 * len(matrix))
    figure = Figure(figsize=(side + 0.9, side), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap=BLUES, vmin=0, vmax=1)
    small = 10 if len(matrix) <= 12 else 7
    if len(classes) <= LABELLED_CLASSES:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if share[row, column] > 0.45 else hex_colour(INK)
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=small)
    names = [literal(name) for name in classes]
    rows, columns = ([*names, last[0]], [*names, last[1]]) if last else (names, names)
    axes.set_xticks(range(len(matrix)), columns, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(matrix)), rows)
    axes.tick_params(length=0, labelsize=small, labelcolor=hex_colour(INK))
    if last:
        axes.axhline(len(classes) - 0.5, color=hex_colour(FAINT), linewidth=1)
        axes.axvline(len(classes) - 0.5, color=hex_colour(FAINT), linewidth=1)
    axes.set_xlabel("predicted as")
    axes.set_ylabel("ground truth")
    axes.set_title(title, fontsize=11, color=hex_colour(INK), loc="left")
    axes.spines[:].set_color(hex_colour(FAINT))
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
    bar.set_label("share of the row", color=hex_colour(INK), fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return save_figure(figure, path)


def plot_training(metrics_csv: Path, path: Path, declared: Sequence[Score]) -> Path:
    """Loss terms left, declared scores of the validation split right, over the epochs of a `metrics.csv`.

    Raises LightdetError if the file is missing or has no epochs in it.
    """
    columns = read_columns(metrics_csv)
    losses = {name: points for name, points in columns.items() if name.startswith("train/") and points[0]}
    scores = {score: columns[score.log_name] for score in declared if columns.get(score.log_name, ([], []))[0]}
    if not losses and not scores:
        raise LightdetError(f"{metrics_csv}: no finished epoch in it; train for at least one")
    figure = Figure(figsize=(11, 4.2), dpi=DOTS_PER_INCH, layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, (name, points) in enumerate(sorted(losses.items(), key=lambda item: item[0] != "train/loss")):
        total = name == "train/loss"
        colour = hex_colour(INK if total else class_colour(index - 1))
        label = "total" if total else literal(name.removeprefix("train/"))
        _line(left, points, label, colour, 2.4 if total else 1.4)
    for index, (score, points) in enumerate(scores.items()):
        best = points[1].index(best_of(score, points[1]))
        colour = hex_colour(class_colour(index))
        label = f"{literal(score.title)}  best {points[1][best]:.3f} (epoch {points[0][best]:g})"
        _line(right, points, label, colour, 1.8)
        right.plot(points[0][best], points[1][best], "o", color=colour, markersize=5)
    left.set(ylabel="loss", ylim=(0, _ceiling(losses)))
    right.set(ylabel="scores on validation")
    if all(0 <= value <= 1 for _, values in scores.values() for value in values):
        right.set_ylim(0, 1)
    for axes, title in ((left, "Training loss"), (right, "Validation")):
        over_whole(axes, "epoch")
        dress(axes, title)
        if axes.lines:
            axes.legend(loc="best", framealpha=0.85, edgecolor="none", fontsize=9, labelcolor=hex_colour(INK))
        else:
            note(axes, "nothing recorded")
    return save_figure(figure, path)


def over_whole(axes: Axes, counted: str) -> None:
    """Name the horizontal axis by what is counted on it, and let only whole numbers be marked."""
    axes.set_xlabel(counted)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def read_columns(metrics_csv: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Each column of a per-epoch file as (epochs, finite values), the first epoch being 1; blank cells are skipped.

    Raises LightdetError if the file is missing or has no column "epoch".
    """
    try:
        rows = read_metrics(metrics_csv) if metrics_csv.exists() else None
    except OSError as error:
        raise LightdetError(f"{metrics_csv}: cannot be read ({error.strerror})") from error
    if rows is None:
        raise LightdetError(f"{metrics_csv}: no such file; is this the folder of a run?")
    columns: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        if (epoch := _number(row.get("epoch"))) is None:
            raise LightdetError(f"{metrics_csv}: a row without epoch; this is not the metrics.csv of a run")
        for name, cell in row.items():
            value = _number(cell)
            if name and value is not None:
                epochs, values = columns.setdefault(name, ([], []))
                epochs.append(epoch + 1)
                values.append(value)
    return columns


def _number(cell: str | None) -> float | None:
    try:
        value = float(cell or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _ceiling(losses: dict[str, tuple[list[float], list[float]]]) -> float:
    """Height of the loss axis: a spike in the first epochs must not flatten the rest."""
    values = np.concatenate([points[1] for points in losses.values()]) if losses else np.ones(1)
    highest, usual = float(values.max()), float(np.percentile(values, 98))
    return 1.08 * (highest if highest < 2 * usual else 1.3 * usual) or 1.0


def _line(axes: Axes, points: tuple[list[float], list[float]], label: str, colour: str, width: float) -> None:
    marker = "o" if len(points[0]) == 1 else ""
    axes.plot(points[0], points[1], color=colour, linewidth=width, label=label, marker=marker)


def legend(axes: Axes, title: str) -> None:
    columns = math.ceil(len(axes.get_legend_handles_labels()[0]) / LEGEND_ROWS)
    axes.legend(
        title=title,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=9,
        ncols=columns,
        labelcolor=hex_colour(INK),
        alignment="left",
    )


def note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=hex_colour(FAINT))


def dress(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=11, color=hex_colour(INK), loc="left")
    axes.grid(True, color="#e3e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(hex_colour(FAINT))
    axes.tick_params(colors=hex_colour(FAINT), labelsize=9)


def hex_colour(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
