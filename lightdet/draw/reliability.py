"""The reliability diagram of a classifier."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lightdet.draw.attempt import save_figure
from lightdet.draw.curves import DOTS_PER_INCH, dress, hex_colour
from lightdet.draw.palette import FAINT, class_colour
from lightdet.metric.calibration import BINS

LABELS = ("probability of the decided class", "share of right images")


def plot_reliability(report: dict[str, Any], path: Path, labels: tuple[str, str] = LABELS) -> Path:
    """How often what has a confidence is right, against it; a strong bar has many. `labels`: of x and y."""
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
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=labels[0], ylabel=labels[1])
    dress(axes, f"Calibration error {report['ece']:.3f}, {report['images']} images")
    return save_figure(figure, path)
