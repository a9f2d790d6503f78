"""Images of a report that a person has to judge: near copies beside each other, and one stored turned."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Rectangle

from lightdet.core.errors import LightdetError
from lightdet.data.image import read_image
from lightdet.data.record import Record
from lightdet.doctor.findings import Examination
from lightdet.doctor.near import TURNS, turned

CELLS = 6  # two for each pair of near copies, one for an image that is stored turned
LONGEST = 24  # letters of a caption


def has_evidence(examination: Examination) -> bool:
    """Whether there is anything to draw."""
    return bool(examination.near or examination.turned)


def draw_evidence(figure: Figure, place: SubplotSpec, examination: Examination, ink: str, box: str) -> None:
    """A row of images; `ink` and `box` are the colours of captions and of boxes."""
    cells = place.subgridspec(1, CELLS, wspace=0.08)
    column = 0
    for pair in examination.near[: CELLS // 2 - bool(examination.turned)]:
        captions = [f"{record.path.name} ({split})" for record, split in zip(pair[:2], pair.splits, strict=True)]
        under = f"near copies: {pair.bits} of 63 bits differ" + (f", {TURNS[pair.turn]}" if pair.turn else "")
        for record, caption, turn, below in zip(pair[:2], captions, (0, pair.turn), (under, ""), strict=True):
            axes = figure.add_subplot(cells[column])
            column += 1
            _draw(axes, record, caption, below, ink, turn=turn)
    for record in examination.turned[:1]:
        axes = figure.add_subplot(cells[column])
        _draw(axes, record, record.path.name, "stored turned; boxes as they count", ink, box)


def _draw(axes: Axes, record: Record, caption: str, below: str, ink: str, box: str = "", turn: int = 0) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(_end_of(caption), fontsize=8, color=ink, parse_math=False)
    axes.set_xlabel(below, fontsize=8, color=ink, loc="left")
    try:
        image = turned(read_image(record.path, record.bits), turn)
    except LightdetError:  # it has changed since it was examined
        axes.set_xlabel("cannot be read", fontsize=8.5, color=ink)
        return
    axes.imshow(np.ascontiguousarray(image), interpolation="lanczos")
    for corner, size in _places(record) if box else ():
        axes.add_patch(Rectangle(corner, *size, fill=False, linewidth=1.5, edgecolor=box))


def _places(record: Record) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    for x1, y1, x2, y2 in record.boxes_xyxy.tolist():
        yield (x1, y1), (x2 - x1, y2 - y1)


def _end_of(name: str) -> str:
    return name if len(name) <= LONGEST else "…" + name[1 - LONGEST :]
