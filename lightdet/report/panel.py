"""One photo with boxes and labels on it: where each label goes so that all of them can be read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from PIL import Image, ImageDraw

from lightdet.report.palette import Colour, font, ink_on, shorten

SIDE = 640  # px; a smaller photo is enlarged until its longer side is this, so that labels are small on it
LEAST_SHORT_SIDE = 160  # px; for a strip, the shorter side decides
MOST_LONG_SIDE = 1600  # px; no strip is enlarged beyond this
PANEL_LIMIT = 900  # px; a panel made smaller has at most this longer side, unless it is a strip
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom, px


@dataclass(frozen=True, slots=True)
class Mark:
    """One box to draw, in photo px."""

    box_xyxy: Rectangle
    colour: Colour
    text: str
    dashed: bool = False  # a mistake: a miss or a false alarm
    weight: float = 0.0  # heavier marks choose the place of their label first


def enlargement(height: int, width: int, side: int = SIDE) -> float:
    """Factor, at least 1, by which a photo of that size (px) is enlarged."""
    longer, shorter = max(height, width), max(1, min(height, width))
    wanted = max(side / longer, LEAST_SHORT_SIDE / shorter)
    return max(1.0, min(wanted, max(side, MOST_LONG_SIDE) / longer))


def panel_scale(height: int, width: int) -> float:
    """Factor for a panel of moderate size: small photos are enlarged, large ones made smaller (px)."""
    longer, shorter = max(height, width), max(1, min(height, width))
    if longer <= PANEL_LIMIT:
        return enlargement(height, width)
    return min(1.0, max(PANEL_LIMIT / longer, min(MOST_LONG_SIDE / longer, LEAST_SHORT_SIDE / shorter)))


def resize(photo: np.ndarray, scale: float) -> np.ndarray:
    """(H, W, 3) -> scaled in both directions."""
    if scale == 1.0:
        return photo
    size = max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def draw_marks(photo: np.ndarray, marks: Sequence[Mark], scale: float, labelled: bool = True) -> np.ndarray:
    """The photo (H, W, 3) uint8 RGB, scaled, with the marks on it: all boxes first, then the labels over them.

    Letters never leave the picture and never overlap. A label that finds no free place is left out; its box stays.
    """
    pixels = resize(photo, scale)
    height, width = pixels.shape[:2]
    picture = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(picture)
    line = max(2, round(max(height, width) / 320))
    boxes = [_inside(mark, scale, height, width) for mark in marks]
    for mark, box in zip(marks, boxes, strict=True):
        _outline(canvas, box, mark, line)
    taken: list[Rectangle] = []
    size = letter_size(height, width)
    for index in sorted(range(len(marks)), key=lambda i: -marks[i].weight):
        if labelled:
            _label(canvas, boxes[index], marks[index], size, taken, (width, height))
    return np.asarray(picture)


def letter_size(height: int, width: int) -> int:
    """Height of a label's letters (px) on a picture of that size."""
    return max(13, round(max(height, width) / 45))


def _inside(mark: Mark, scale: float, height: int, width: int) -> Rectangle:
    left, top, right, bottom = (value * scale for value in mark.box_xyxy)
    left, right = (min(max(value, 0), width - 1) for value in (left, right - 1))
    top, bottom = (min(max(value, 0), height - 1) for value in (top, bottom - 1))
    return left, top, max(left, right), max(top, bottom)


def _outline(canvas: ImageDraw.ImageDraw, box: Rectangle, mark: Mark, line: int) -> None:
    if not mark.dashed:
        canvas.rectangle(box, outline=mark.colour, width=line)
        return
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for start, end in pairwise(corners):
        _dashes(canvas, start, end, mark.colour, line)


def _dashes(
    canvas: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], colour: Colour, line: int
) -> None:
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    count = max(1, round(length / (line * 9)))
    for step in range(count):
        near, far = (step + 0.0) / count, (step + 0.6) / count
        points = [(start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t) for t in (near, far)]
        ordered = [min(p[i] for p in points) for i in (0, 1)] + [max(p[i] for p in points) for i in (0, 1)]
        half = (line - 1) / 2
        canvas.rectangle((ordered[0] - half, ordered[1] - half, ordered[2] + half, ordered[3] + half), fill=colour)


def _label(
    canvas: ImageDraw.ImageDraw,
    box: Rectangle,
    mark: Mark,
    size: int,
    taken: list[Rectangle],
    limits: tuple[int, int],
) -> None:
    letters, margin = font(size), max(2, size // 4)
    text = shorten(mark.text, size, limits[0] - 2 * margin)
    width, height = letters.getlength(text) + 2 * margin, size + 2 * margin
    chip = _place(box, width, height, taken, limits)
    if chip is None or not text:
        return
    taken.append(chip)
    if _apart(chip, box, size):
        anchor = min(max(chip[0], box[0]), box[2]), min(max(chip[1], box[1]), box[3])
        canvas.line((chip[0] + width / 2, chip[1] + height / 2, *anchor), fill=mark.colour, width=1)
    canvas.rectangle(chip, fill=mark.colour)
    canvas.text((chip[0] + margin, chip[1] + height / 2), text, font=letters, fill=ink_on(mark.colour), anchor="lm")


def _place(
    box: Rectangle, width: float, height: float, taken: list[Rectangle], limits: tuple[int, int]
) -> Rectangle | None:
    """The first free place for a label: at the box's corners, then along it, then anywhere, nearest first."""
    for left, top in _candidates(box, width, height, limits):
        left = min(max(left, 0), limits[0] - 1 - width)
        top = min(max(top, 0), limits[1] - 1 - height)
        chip = (left, top, left + width, top + height)
        if left >= 0 and top >= 0 and not any(_overlap(chip, other) for other in taken):
            return chip
    return None


def _candidates(box: Rectangle, width: float, height: float, limits: tuple[int, int]) -> Iterator[tuple[float, float]]:
    left, top, right, bottom = box
    if top >= height:
        yield left, top - height
        yield right - width, top - height
    yield left, top
    if bottom + height < limits[1]:
        yield left, bottom
        yield right - width, bottom
    yield right - width, top
    yield left, bottom - height
    yield right - width, bottom - height
    yield right, top
    yield left - width, top
    columns = np.arange(0, max(1, limits[0] - width), max(8, width / 4))
    rows = np.arange(0, max(1, limits[1] - height), max(4, height / 2))
    grid = [(float(x), float(y)) for y in rows for x in columns]
    yield from sorted(grid, key=lambda corner: (corner[0] - left) ** 2 + (corner[1] - top) ** 2)


def _overlap(first: Rectangle, second: Rectangle) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _apart(chip: Rectangle, box: Rectangle, slack: float) -> bool:
    grown = (box[0] - slack, box[1] - slack, box[2] + slack, box[3] + slack)
    return not _overlap(chip, grown)
