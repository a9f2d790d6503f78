"""The doctor's report as one picture: an example of each class, boxes per class, box sizes against the strides."""

import io
import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lightdet.data.doctor import Examination
from lightdet.data.doctor_checks import SMALLEST_SIDE, count_boxes
from lightdet.data.image import read_photo
from lightdet.data.record import Record
from lightdet.error import LightdetError
from lightdet.ops.grid import STRIDES

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D31", "#7B4FA3", "#4D4D4D", "#B8A800")
SPLIT_SHADES = {"train": 1.0, "val": 0.55, "test": 0.3}  # opacity
LEVEL_COLOURS = {"error": "#B00020", "warning": "#B35C00", "note": "#44546A"}
INK, FAINT = "#1F2933", "#8A94A0"
EXAMPLES = 8  # classes shown by a photo
CONTEXT = 4.0  # side of an example, in sides of its box
DOTS = 4000  # boxes in the scatter
SHOWN = 6  # findings


def draw_report(examination: Examination, title: str) -> bytes:
    """A PNG of about 1500 x 1200 px."""
    figure = Figure(figsize=(12.5, 10), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    rows = figure.add_gridspec(
        3, 1, height_ratios=(1.35, 3.0, 1.15), left=0.065, right=0.975, top=0.885, bottom=0.035, hspace=0.3
    )
    _draw_title(figure, examination, title)
    _draw_examples(figure, rows[0], examination)
    middle = rows[1].subgridspec(1, 2, width_ratios=(1, 1.25), wspace=0.16)
    _draw_counts(figure.add_subplot(middle[0]), examination)
    _draw_sizes(figure.add_subplot(middle[1]), examination)
    _draw_findings(figure.add_subplot(rows[2]), examination)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _colour(label: int) -> str:
    return PALETTE[label % len(PALETTE)]


def _draw_title(figure: Figure, examination: Examination, title: str) -> None:
    figure.text(0.025, 0.958, title, fontsize=19, fontweight="bold", color=INK)
    parts = [
        f"{name}: {len(records):,} images, {sum(len(r.labels) for r in records):,} boxes"
        for name, records in examination.splits.items()
    ]
    facts = [*parts, f"{len(examination.classes)} classes", f"input {examination.image_size} px"]
    figure.text(0.025, 0.93, "   |   ".join(facts), fontsize=11, color=FAINT)


def _draw_examples(figure: Figure, place: object, examination: Examination) -> None:
    examples = [(label, _typical(examination, label)) for label in range(len(examination.classes))][:EXAMPLES]
    cells = place.subgridspec(1, max(len(examples), 6), wspace=0.08)  # type: ignore[attr-defined]
    for cell, (label, example) in zip(cells, examples, strict=False):
        axes = figure.add_subplot(cell)
        axes.set_title(examination.classes[label], fontsize=10.5, color=_colour(label), fontweight="bold")
        axes.set_xticks([])
        axes.set_yticks([])
        if example is None:
            axes.text(0.5, 0.5, "no box", transform=axes.transAxes, ha="center", va="center", color=FAINT)
            continue
        _draw_example(axes, *example)


def _typical(examination: Examination, label: int) -> tuple[Record, np.ndarray, int] | None:
    """The box of a class whose area is the median one, with its record and photo."""
    found = [
        (float(np.prod(box[2:] - box[:2])), record.image_id, index, record)
        for records in examination.splits.values()
        for record in records
        for index, box in enumerate(record.boxes_xyxy)
        if record.labels[index] == label
    ]
    found.sort(key=lambda entry: entry[:3])
    for _, _, index, record in found[len(found) // 2 :]:
        try:
            return record, read_photo(record.path), index
        except LightdetError:  # told among the findings; the next one will do
            continue
    return None


def _draw_example(axes: Axes, record: Record, photo: np.ndarray, index: int) -> None:
    """A square of the photo around a box, wide enough to see what surrounds it."""
    height, width = photo.shape[:2]
    x1, y1, x2, y2 = record.boxes_xyxy[index]
    side = min(max(CONTEXT * max(x2 - x1, y2 - y1), 48), min(height, width))
    side = max(side, 1.1 * max(x2 - x1, y2 - y1))
    left = min(max((x1 + x2 - side) / 2, 0), max(width - side, 0))
    top = min(max((y1 + y2 - side) / 2, 0), max(height - side, 0))
    axes.imshow(photo, extent=(0, width, height, 0), interpolation="lanczos")
    for box, label in zip(record.boxes_xyxy, record.labels, strict=True):
        frame = Rectangle(box[:2], *(box[2:] - box[:2]), fill=False, linewidth=2, edgecolor=_colour(int(label)))
        axes.add_patch(frame)
    axes.set_xlim(left, left + side)
    axes.set_ylim(top + side, top)
    axes.set_facecolor("#EEF1F4")
    _soften(axes)


def _draw_counts(axes: Axes, examination: Examination) -> None:
    classes = examination.classes
    places = np.arange(len(classes))
    present = [name for name in examination.splits if name in SPLIT_SHADES]
    thick = 0.8 / max(len(present), 1)
    for row, name in enumerate(present):
        counts = count_boxes(examination.splits[name], len(classes))
        offset = places - 0.4 + thick * (row + 0.5)
        bars = axes.barh(
            offset, counts, thick * 0.92, color=[_colour(k) for k in range(len(classes))], alpha=SPLIT_SHADES[name]
        )
        labels = [f"{count:,} {name}" if count else f"none in {name}" for count in counts]
        axes.bar_label(bars, labels, padding=4, fontsize=8.5, color=INK)
    axes.set_yticks(places, classes, fontsize=10)
    axes.invert_yaxis()
    axes.set_xlim(0, axes.get_xlim()[1] * 1.2)
    axes.set_title("boxes per class", loc="left", fontsize=12, color=INK, fontweight="bold")
    axes.grid(axis="x", color="#E4E8EC")
    axes.set_axisbelow(True)
    _soften(axes)


def _draw_sizes(axes: Axes, examination: Examination) -> None:
    sizes, labels = examination.boxes.sizes, examination.boxes.labels
    chosen = np.random.default_rng(0).permutation(len(sizes))[:DOTS]
    colours = [_colour(int(label)) for label in labels[chosen]]
    low = max(min(1.5, float(sizes.min(initial=1.5))) * 0.8, 0.05)
    high = examination.image_size * 1.15
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.fill_between([low, high], low, SMALLEST_SIDE, color="#B00020", alpha=0.1, linewidth=0)
    axes.fill_betweenx([SMALLEST_SIDE, high], low, SMALLEST_SIDE, color="#B00020", alpha=0.1, linewidth=0)
    axes.text(
        high * 0.93, SMALLEST_SIDE * 0.93, "too small to learn", fontsize=8.5, color="#B00020", ha="right", va="top"
    )
    for stride in STRIDES:
        axes.plot(
            [stride, stride, high], [high, stride, stride], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1
        )
        axes.text(high * 0.93, stride * 1.03, f"stride {stride}", fontsize=8.5, color=FAINT, ha="right", va="bottom")
    axes.scatter(sizes[chosen, 0], sizes[chosen, 1], s=9, c=colours, alpha=0.55, linewidths=0, zorder=2)
    axes.scatter(
        examination.anchors[:, 0],
        examination.anchors[:, 1],
        s=70,
        marker="+",
        color=INK,
        linewidths=1.6,
        zorder=3,
        label="anchors",
    )
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("width, px of the input", fontsize=9.5)
    axes.set_ylabel("height, px of the input", fontsize=9.5)
    axes.set_title("box sizes at this input size", loc="left", fontsize=12, color=INK, fontweight="bold")
    axes.legend(loc="upper left", fontsize=8.5, frameon=False)
    _soften(axes)


def _draw_findings(axes: Axes, examination: Examination) -> None:
    axes.axis("off")
    axes.set_title("findings", loc="left", fontsize=12, color=INK, fontweight="bold")
    findings = examination.findings[:SHOWN]
    line_height, line = 0.145, 0
    for finding in findings:
        text = textwrap.shorten(f"{finding.topic}: {finding.message}", 165, placeholder=" ...")
        top = 0.98 - line * line_height
        axes.text(0, top, finding.level, fontsize=9.5, va="top", color=LEVEL_COLOURS[finding.level], fontweight="bold")
        axes.text(0.07, top, text, fontsize=9.5, va="top", color=INK)
        line += 1
    rest = len(examination.findings) - len(findings)
    if rest or not findings:
        text = f"and {rest} more in report.json" if rest else "no complaints"
        axes.text(0.07 if rest else 0, 0.98 - line * line_height, text, fontsize=9.5, va="top", color=FAINT)


def _soften(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_color("#C9D0D7")
    axes.tick_params(colors=INK, labelsize=9, length=0)
