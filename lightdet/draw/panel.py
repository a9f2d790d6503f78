"""One image with boxes and labels on it: where each label goes so that all of them can be read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from lightdet.draw.palette import PAPER, Colour, font, ink_on, shorten

SIDE = 640  # px; a smaller image is enlarged until its longer side is this, so that labels are small on it
LEAST_SHORT_SIDE = 160  # px; for a strip, the shorter side decides
MOST_LONG_SIDE = 1600  # px; no strip is enlarged beyond this
PANEL_LIMIT = 900  # px; a panel made smaller has at most this longer side, unless it is a strip
DASH = 8  # line widths from one dash to the next
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom, px


@dataclass(frozen=True, slots=True)
class Mark:
    """One box to draw, in original px."""

    box_xyxy: Rectangle
    colour: Colour
    text: str
    dashed: bool = False  # a mistake: a miss or a false alarm
    weight: float = 0.0  # heavier marks choose the place of their label first


def enlargement(height: int, width: int, side: int = SIDE) -> float:
    """Factor, at least 1, by which an image of that size (px) is enlarged."""
    longer, shorter = max(height, width), max(1, min(height, width))
    wanted = max(side / longer, LEAST_SHORT_SIDE / shorter)
    return max(1.0, min(wanted, max(side, MOST_LONG_SIDE) / longer))


def panel_scale(height: int, width: int) -> float:
    """Factor for a panel of moderate size: small images are enlarged, large ones made smaller (px)."""
    longer, shorter = max(height, width), max(1, min(height, width))
    if longer <= PANEL_LIMIT:
        return enlargement(height, width)
    return min(1.0, max(PANEL_LIMIT / longer, min(MOST_LONG_SIDE / longer, LEAST_SHORT_SIDE / shorter)))


def resize(image: np.ndarray, scale: float) -> np.ndarray:
    """(H, W, 3) -> scaled in both directions."""
    if scale == 1.0:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def draw_marks(image: np.ndarray, marks: Sequence[Mark], scale: float, labelled: bool = True) -> np.ndarray:
    """The image (H, W, 3) uint8 RGB, scaled, with the marks on it: all boxes first, then the labels over them.

    Letters never leave the picture and never overlap. A label that finds no free place is left out; its box stays.
    """
    pixels = resize(image, scale)
    height, width = pixels.shape[:2]
    picture = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(picture)
    line = max(2, round(min(max(height, width) / 210, min(height, width) / 80)))
    boxes = [_inside(mark, scale, height, width) for mark in marks]
    for mark, box in zip(marks, boxes, strict=True):
        _outline(canvas, box, mark, line)
    if labelled:
        by_weight = sorted(zip(boxes, marks, strict=True), key=lambda pair: -pair[1].weight)
        _write_labels(canvas, [box for box, _ in by_weight], [mark for _, mark in by_weight], (width, height))
    return np.asarray(picture)


def letter_size(height: int, width: int) -> int:
    """Height of a label's letters (px) on a picture of that size."""
    return max(13, round(min(max(height, width) / 45, min(height, width) / 10)))


def _inside(mark: Mark, scale: float, height: int, width: int) -> Rectangle:
    left, top, right, bottom = (value * scale for value in mark.box_xyxy)
    left, right = (min(max(value, 0), width - 1) for value in (left, right - 1))
    top, bottom = (min(max(value, 0), height - 1) for value in (top, bottom - 1))
    return left, top, max(left, right), max(top, bottom)


def _outline(canvas: ImageDraw.ImageDraw, box: Rectangle, mark: Mark, line: int) -> None:
    """The box in its colour on a thin white edge, which keeps it visible on dark and on busy images."""
    left, top, right, bottom = box
    strokes = [
        *_strokes(left, right, line, mark.dashed, lambda near, far: (near, top, far, top)),
        *_strokes(top, bottom, line, mark.dashed, lambda near, far: (right, near, right, far)),
        *_strokes(right, left, line, mark.dashed, lambda near, far: (far, bottom, near, bottom)),
        *_strokes(bottom, top, line, mark.dashed, lambda near, far: (left, far, left, near)),
    ]
    half = (line - 1) / 2
    for reach, colour in ((half + 1, PAPER), (half, mark.colour)):
        for x0, y0, x1, y1 in strokes:
            canvas.rectangle((x0 - reach, y0 - reach, x1 + reach, y1 + reach), fill=colour)


def _strokes(
    start: float, end: float, line: int, dashed: bool, side: Callable[[float, float], Rectangle]
) -> list[Rectangle]:
    """The pieces of one side of a box, walked from start to end; dashes begin at the corner."""
    if not dashed:
        return [side(start, end)]
    count = max(1, round(abs(end - start) / (line * DASH)))
    step = (end - start) / count
    return [side(start + step * index, start + step * (index + 0.55)) for index in range(count)]


def _write_labels(
    canvas: ImageDraw.ImageDraw, boxes: Sequence[Rectangle], marks: Sequence[Mark], limits: tuple[int, int]
) -> None:
    """A label per box, the first ones choosing their place first; a thin line leads back to a box that is far away."""
    size = letter_size(limits[1], limits[0])
    letters, margin = font(size), max(2, size // 4)
    chips: list[tuple[Rectangle, str, Mark]] = []
    for box, mark in zip(boxes, marks, strict=True):
        text = shorten(mark.text, size, limits[0] - 1 - 2 * margin)
        chip = _place(box, letters.getlength(text) + 2 * margin, size + 2 * margin, [c for c, *_ in chips], limits)
        if chip is None or not text:
            continue
        chips.append((chip, text, mark))
        if _apart(chip, box, size):
            middle = (chip[0] + chip[2]) / 2, (chip[1] + chip[3]) / 2
            anchor = min(max(middle[0], box[0]), box[2]), min(max(middle[1], box[1]), box[3])
            canvas.line((*middle, *anchor), fill=mark.colour, width=2)
    for chip, text, mark in chips:
        canvas.rectangle(chip, fill=mark.colour)
        middle_left = chip[0] + margin, (chip[1] + chip[3]) / 2
        canvas.text(middle_left, text, font=letters, fill=ink_on(mark.colour), anchor="lm")


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
    if bottom - top > 2 * height:  # a label inside a low box would hide what it names
        yield left, top
        yield right - width, top
    if bottom + height < limits[1]:
        yield left, bottom
        yield right - width, bottom
    if right + width < limits[0]:
        yield right, top
    if left >= width:
        yield left - width, top
    if bottom - top > 2 * height:
        yield left, bottom - height
        yield right - width, bottom - height
    columns = np.arange(0, max(1, limits[0] - width), max(8, width / 4))
    rows = np.arange(0, max(1, limits[1] - height), max(4, height / 2))
    grid = [(float(x), float(y)) for y in rows for x in columns]
    yield from sorted(grid, key=lambda corner: (corner[0] - left) ** 2 + (corner[1] - top) ** 2)


def _overlap(first: Rectangle, second: Rectangle) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _apart(chip: Rectangle, box: Rectangle, slack: float) -> bool:
    grown = (box[0] - slack, box[1] - slack, box[2] + slack, box[3] + slack)
    return not _overlap(chip, grown)
