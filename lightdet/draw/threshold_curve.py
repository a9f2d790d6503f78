"""Escapes and overkill against the threshold, as a picture and as a table."""

import csv
import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lightdet.core.files import write_text
from lightdet.draw.attempt import save_figure
from lightdet.draw.curves import DOTS_PER_INCH, dress, hex_colour, legend
from lightdet.draw.palette import FAINT, INK, class_colour
from lightdet.metric.escape_curve import Share, below, thresholds_of
from lightdet.metric.image_scores import ImageScores

HEADER = (
    "threshold,escaped,defective,escape_rate,escape_low,escape_high,"
    "rejected,good,overkill_rate,overkill_low,overkill_high"
)
MOST_DRAWN = 400  # thresholds in the picture
TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1)


def shares_at(scores: ImageScores, thresholds: np.ndarray) -> tuple[list[Share], list[Share]]:
    """Escapes and overkill at each threshold, of the images with one score each."""
    bad, good = scores.overall[scores.defective], scores.overall[~scores.defective]
    escaped, kept = below(bad, thresholds), below(good, thresholds)
    return (
        [Share(int(count), len(bad)) for count in escaped],
        [Share(len(good) - int(count), len(good)) for count in kept],
    )


def write_curve(scores: ImageScores, path: Path) -> None:
    """curve.csv: a line for each threshold that sorts the images in another way, ascending."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    thresholds = thresholds_of(scores.overall)
    for threshold, *both in zip(thresholds, *shares_at(scores, thresholds), strict=True):
        cells = [(each.count, each.of, each.rate, *(each.interval if each.of else (None, None))) for each in both]
        rows.writerow([f"{threshold:.9g}", *(_cell(value) for cell in cells for value in cell)])
    write_text(path, f"{HEADER}\n{text.getvalue()}")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def plot_curve(scores: ImageScores, threshold: float, asked: float | None, title: str, path: Path) -> Path:
    """Both shares with their exact 95 % bands, the chosen threshold (NaN: none) and the share that was asked for."""
    figure = Figure(figsize=(8.2, 5.2), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    thresholds = thresholds_of(scores.overall)
    if len(thresholds) > MOST_DRAWN:
        thresholds = thresholds[np.linspace(0, len(thresholds) - 1, MOST_DRAWN).astype(int)]
    escapes, overkill = shares_at(scores, thresholds)
    _band(axes, thresholds, escapes, f"escapes, of {int(scores.defective.sum())} defective images", 0)
    if not scores.defective.all():
        _band(axes, thresholds, overkill, f"overkill, of {int((~scores.defective).sum())} good images", 1)
    if asked is not None:
        axes.axhline(asked, color=hex_colour(FAINT), linestyle="--", linewidth=1, label=f"asked: {100 * asked:.4g} %")
    if np.isfinite(threshold):
        axes.axvline(threshold, color=hex_colour(INK), linewidth=1.2, label=f"threshold {threshold:.4g}")
    roots = (lambda share: np.sqrt(np.maximum(share, 0)), np.square)  # small shares and scores need the room
    axes.set_yscale("function", functions=roots)
    axes.set_xscale("function", functions=roots)
    axes.set_yticks(TICKS)
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold: least score of a rejected part", ylabel="share of images")
    legend(axes, "bands: exact, 95 % at each threshold")
    dress(axes, title)
    return save_figure(figure, path)


def _band(axes: Axes, thresholds: np.ndarray, shares: list[Share], label: str, number: int) -> None:
    colour = hex_colour(class_colour(number))
    low, high = np.array([share.interval for share in shares]).reshape(-1, 2).T
    axes.fill_between(thresholds, low, high, step="pre", color=colour, alpha=0.2, linewidth=0)
    rates = [share.rate or 0.0 for share in shares]
    axes.step(thresholds, rates, where="pre", color=colour, linewidth=1.8, label=label)
