"""The doctor's report as one picture: an example of each class, boxes per class, box sizes against the strides."""

import io
import textwrap
import warnings
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Rectangle

from lightdet.core.errors import LightdetError
from lightdet.data.image import read_image
from lightdet.data.record import Record
from lightdet.doctor.checks import SMALLEST_SIDE, count_boxes
from lightdet.doctor.evidence_picture import draw_evidence, has_evidence
from lightdet.doctor.findings import Examination
from lightdet.draw.palette import literal
from lightdet.ops.grid import STRIDES, height_width, size_text

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D31", "#7B4FA3", "#4D4D4D", "#B8A800")
SPLIT_SHADES = {"train": 1.0, "val": 0.55, "test": 0.3}  # opacity
LEVEL_COLOURS = {"error": "#B00020", "warning": "#B35C00", "note": "#44546A"}
INK, FAINT, LOST = "#1F2933", "#8A94A0", "#B00020"
LONGEST_NAME = 24  # letters
BARS = 20  # classes in the bar chart
EXAMPLES = 8  # classes shown by an image
CONTEXT = 4.0  # side of an example, in sides of its box
DOTS = 4000  # boxes in the scatter
SHOWN = 6  # findings
LINE = 0.24  # inches from one finding to the next


def draw_report(examination: Examination, title: str) -> bytes:
    """A PNG, 1500 px wide."""
    longest = max(len(_short(name)) for name in examination.classes)
    listed = min(max(len(examination.findings), 1), SHOWN + 1)
    evidence = [0.4, 1.6, 0.25] if has_evidence(examination) else []  # gap, images, gap
    # title, gap, examples, evidence, gap, charts, gap, findings
    inches = [0.95, 0.4, 1.7, *evidence, 0.6, 4.5, 0.95, 0.1 + LINE * listed]
    figure = Figure(figsize=(12.5, sum(inches) + 0.2), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    left, bottom = 0.025 + 0.0063 * longest, 0.2 / figure.get_figheight()
    grid: dict[str, Any] = {"left": left, "right": 0.975, "top": 1.0, "bottom": bottom, "hspace": 0.0}
    rows = figure.add_gridspec(len(inches), 1, height_ratios=inches, **grid)
    _draw_title(figure, examination, title)
    _draw_examples(figure, rows[2], examination)
    if evidence:
        draw_evidence(figure, rows[4], examination, INK, LOST)
    charts = rows[len(inches) - 3].subgridspec(1, 2, width_ratios=(1, 1.25), wspace=0.16)
    _draw_counts(figure.add_subplot(charts[0]), examination)
    _draw_sizes(figure.add_subplot(charts[1]), examination)
    _draw_findings(figure.add_subplot(rows[len(inches) - 1]), examination, inches[-1])
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a class name in a script that the font lacks
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _short(name: str) -> str:
    return literal(name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…")


def _colour(label: int) -> str:
    return PALETTE[label % len(PALETTE)]


def _head(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", pad=8, fontsize=12, color=INK, fontweight="bold")


def _draw_title(figure: Figure, examination: Examination, title: str) -> None:
    inch = 1 / figure.get_figheight()
    figure.text(0.025, 1 - 0.52 * inch, literal(title), fontsize=19, fontweight="bold", color=INK)
    parts = [
        f"{name}: {len(records):,} images, {sum(len(r.box_labels) for r in records):,} boxes"
        for name, records in examination.splits.items()
    ]
    facts = [*parts, f"{len(examination.classes)} classes", f"input {size_text(examination.image_size)}"]
    figure.text(0.025, 1 - 0.82 * inch, "   |   ".join(facts), fontsize=11, color=FAINT)


def _draw_examples(figure: Figure, place: SubplotSpec, examination: Examination) -> None:
    labels = range(min(len(examination.classes), EXAMPLES))
    cells = place.subgridspec(1, max(len(labels), 6), wspace=0.08)
    for label in labels:
        axes = figure.add_subplot(cells[label])
        axes.set_title(_short(examination.classes[label]), fontsize=10.5, color=_colour(label), fontweight="bold")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_facecolor("#EEF1F4")
        _soften(axes)
        example = _typical(examination, label)
        if example is None:
            axes.set_aspect(1, adjustable="box")
            axes.text(0.5, 0.5, "no box", transform=axes.transAxes, ha="center", va="center", color=FAINT)
        else:
            _draw_example(axes, *example)


def _typical(examination: Examination, label: int) -> tuple[Record, np.ndarray, int] | None:
    """The box of a class whose area is the median one: its record, its image, and its index there."""
    found = [
        (float(np.prod(box[2:] - box[:2])), record.image_id, index, record)
        for records in examination.splits.values()
        for record in records
        for index, box in enumerate(record.boxes_xyxy)
        if record.box_labels[index] == label
    ]
    found.sort(key=lambda entry: entry[:3])
    for _, _, index, record in found[len(found) // 2 :]:
        try:
            return record, read_image(record.path, record.bits), index
        except LightdetError:  # it is among the findings; the next one will do
            continue
    return None


def _draw_example(axes: Axes, record: Record, image: np.ndarray, index: int) -> None:
    """A square of the image around a box, wide enough to see what surrounds it."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = record.boxes_xyxy[index].tolist()
    longer = max(x2 - x1, y2 - y1)
    side = max(min(max(CONTEXT * longer, 48), height, width), 1.1 * longer)
    left = min(max((x1 + x2 - side) / 2, 0), max(width - side, 0))
    top = min(max((y1 + y2 - side) / 2, 0), max(height - side, 0))
    axes.imshow(image, extent=(0, width, height, 0), interpolation="lanczos")
    for box, label in zip(record.boxes_xyxy.tolist(), record.box_labels.tolist(), strict=True):
        corner, size = (box[0], box[1]), (box[2] - box[0], box[3] - box[1])
        axes.add_patch(Rectangle(corner, *size, fill=False, linewidth=2, edgecolor=_colour(label)))
    axes.set_xlim(left, left + side)
    axes.set_ylim(top + side, top)


def _draw_counts(axes: Axes, examination: Examination) -> None:
    """A bar per class and split; of many classes the ones with the most boxes."""
    present = [name for name in examination.splits if name in SPLIT_SHADES]
    counts = {name: count_boxes(examination.splits[name], len(examination.classes)) for name in present}
    total = np.sum(list(counts.values()), axis=0)
    labels = np.sort(np.argsort(-total, kind="stable")[:BARS])
    thick = 0.8 / max(len(present), 1)
    font = 8.5 if len(labels) * len(present) <= 24 else 6.5
    for row, name in enumerate(present):
        chosen = counts[name][labels]
        places = np.arange(len(labels)) - 0.4 + thick * (row + 0.5)
        colours = [_colour(int(label)) for label in labels]
        bars = axes.barh(places, chosen, thick * 0.92, color=colours, alpha=SPLIT_SHADES[name])
        texts = [f"{count:,} {name}" if count else f"none in {name}" for count in chosen]
        axes.bar_label(bars, texts, padding=4, fontsize=font, color=INK)
    axes.set_yticks(np.arange(len(labels)), [_short(examination.classes[label]) for label in labels])
    axes.invert_yaxis()
    axes.set_xlim(0, max(axes.get_xlim()[1], 1) * 1.2)
    _head(axes, "boxes per class" + (f", the {BARS} most frequent of {len(total)}" if len(total) > BARS else ""))
    axes.grid(axis="x", color="#E4E8EC")
    axes.set_axisbelow(True)
    _soften(axes)


def _draw_sizes(axes: Axes, examination: Examination) -> None:
    """A dot per box, or for a few thousand of them."""
    sizes, labels = examination.boxes.sizes, examination.boxes.labels
    chosen = np.random.default_rng(0).permutation(len(sizes))[:DOTS]
    colours = [_colour(int(label)) for label in labels[chosen]]
    low = max(min(1.5, float(sizes.min(initial=1.5))) * 0.8, 0.05)
    high = max(height_width(examination.image_size)) * 1.15
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    _draw_limits(axes, low, high)
    axes.scatter(sizes[chosen, 0], sizes[chosen, 1], s=9, c=colours, alpha=0.55, linewidths=0, zorder=2)
    widths, heights = examination.anchors.T
    axes.scatter(widths, heights, s=70, marker="+", color=INK, linewidths=1.6, zorder=3, label="anchor")
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("width, px of the input", fontsize=9.5, color=INK)
    axes.set_ylabel("height, px of the input", fontsize=9.5, color=INK)
    _head(axes, "box sizes at this input size")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=9, frameon=False, handletextpad=0.2)
    _soften(axes)


def _draw_limits(axes: Axes, low: float, high: float) -> None:
    """Where a box is smaller than a cell of each grid, and where it is lost."""
    axes.fill_between([low, high], low, SMALLEST_SIDE, color=LOST, alpha=0.1, linewidth=0)
    axes.fill_betweenx([SMALLEST_SIDE, high], low, SMALLEST_SIDE, color=LOST, alpha=0.1, linewidth=0)
    right: dict[str, Any] = {"fontsize": 8.5, "ha": "right", "va": "center", "zorder": 4}
    axes.text(high * 0.95, max(SMALLEST_SIDE * 0.85, low * 1.1), "too small to learn", color=LOST, **right)
    for stride in STRIDES:
        axes.plot([stride, stride, high], [high, stride, stride], color=FAINT, linewidth=1, linestyle="--", zorder=1)
        if stride < high / 2:
            patch = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1.5}
            axes.text(high * 0.95, stride, f"stride {stride}", color=INK, bbox=patch, **right)


def _draw_findings(axes: Axes, examination: Examination, height: float) -> None:
    """One line each, worst first; `height` in inches."""
    axes.axis("off")
    _head(axes, "findings")
    lines: list[tuple[str, str, str]] = [
        (finding.level, f"{finding.topic}: {finding.message}", LEVEL_COLOURS[finding.level])
        for finding in examination.findings[:SHOWN]
    ]
    rest = len(examination.findings) - len(lines)
    if rest or not lines:
        lines.append(("", f"and {rest} more in report.json" if rest else "no complaints", FAINT))
    for row, (level, text, colour) in enumerate(lines):
        top = 1 - row * LINE / height
        axes.text(0, top, level, fontsize=9.5, va="top", color=colour, fontweight="bold")
        short = literal(textwrap.shorten(text, 150, placeholder=" …"))
        axes.text(0.07 if level else 0, top, short, fontsize=9.5, va="top", color=INK if level else FAINT)


def _soften(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_color("#C9D0D7")
    axes.tick_params(colors=INK, labelsize=9.5, length=0)
