"""Pages of drawn images: a pair under its header, and a contact sheet of many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from lightdet.draw.palette import ALARM, FAINT, INK, PAPER, Colour, font, shorten

GAP = 12  # px between panels and around the page
LEAST_WIDTH = 640  # px; narrower panels get paper beside them so that the header can be read
WIDE = 1.7  # panels wider than this times their height are placed above each other
COLUMNS = 3  # of a contact sheet
DASHED = "dashed: missed in the ground truth, false alarm in the prediction"
Legend = Sequence[tuple[str, Colour]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of a contact sheet with two short lines above it."""

    picture: np.ndarray
    headline: str
    detail: str
    alarming: bool


def beside(first: np.ndarray, second: np.ndarray, captions: tuple[str, str] | None = None) -> np.ndarray:
    """Two panels of equal size (H, W, 3), left and right, or above each other if they are wide; captions over them."""
    height, width = first.shape[:2]
    stacked = width > WIDE * height
    pitch = max(width, LEAST_WIDTH // 2) if captions else width  # a narrow panel leaves paper for its caption
    size = max(14, pitch // (80 if stacked else 45))
    head = size + GAP if captions else 0
    page_size = (pitch, 2 * (height + head) + GAP) if stacked else (2 * pitch + GAP, height + head)
    page = Image.new("RGB", page_size, PAPER)
    canvas = ImageDraw.Draw(page)
    for index, panel in enumerate((first, second)):
        left, top = (0, index * (height + head + GAP)) if stacked else (index * (pitch + GAP), 0)
        if captions:
            _text(canvas, (left, top + head / 2), captions[index], size, INK, pitch, bold=True)
        page.paste(Image.fromarray(panel), (left, top + head))
    return np.asarray(page)


def with_header(body: np.ndarray, title: str, counts: str, alarming: bool, legend: Legend) -> np.ndarray:
    """A page: the title and, below it, the counts; the body; what the colours mean."""
    size = max(16, body.shape[1] // 80)
    width = max(body.shape[1], LEAST_WIDTH)
    header = round(3.4 * size)
    footer = legend_strip(legend, width, max(13, size - 3))
    page = Image.new("RGB", (width + 2 * GAP, header + body.shape[0] + footer.shape[0] + 2 * GAP), PAPER)
    canvas = ImageDraw.Draw(page)
    _text(canvas, (GAP, GAP + size / 2), title, size, INK, width, bold=True, keep_end=True)
    _text(canvas, (GAP, GAP + 2 * size), counts, size, ALARM if alarming else FAINT, width)
    page.paste(Image.fromarray(body), (GAP, GAP + header))
    page.paste(Image.fromarray(footer), (GAP, GAP + header + body.shape[0]))
    return np.asarray(page)


def contact_sheet(cells: Sequence[Cell], title: str, explained: str, legend: Legend) -> np.ndarray:
    """Pictures in rows of three, in their order, each row as high as its highest picture, under a title and a line that
    explains them."""
    size = 14
    head = round(3.2 * size)
    columns = min(COLUMNS, len(cells))
    width = max(cell.picture.shape[1] for cell in cells)
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [head + max(cell.picture.shape[0] for cell in row) + 2 * GAP for row in rows]
    page = Image.new("RGB", (columns * (width + 2 * GAP) - 2 * GAP, sum(heights)), PAPER)
    canvas = ImageDraw.Draw(page)
    for row, top in zip(rows, np.cumsum([0, *heights[:-1]]).tolist(), strict=True):
        for column, cell in enumerate(row):
            left = column * (width + 2 * GAP)
            colour = ALARM if cell.alarming else FAINT
            _text(canvas, (left, top + size), cell.headline, size, colour, width, bold=True)
            _text(canvas, (left, top + 2.3 * size), cell.detail, size - 2, FAINT, width, keep_end=True)
            page.paste(Image.fromarray(cell.picture), (left, top + head))
    return with_header(np.asarray(page), title, explained, False, legend)


def legend_strip(legend: Legend, width: int, size: int) -> np.ndarray:
    """A strip `width` px wide: a square of colour and a name for each entry, in as many lines as they need."""
    letters, line = font(size), round(1.7 * size)
    places: list[tuple[float, int, str, Colour]] = []
    left, row = 0.0, 0
    for name, colour in legend:
        text = shorten(name, size, width - 2.5 * size)
        needed = letters.getlength(text) + 1.6 * size
        if left and left + needed > width:
            left, row = 0.0, row + 1
        places.append((left, row, text, colour))
        left += needed + size
    strip = Image.new("RGB", (width, (row + 1) * line + GAP if places else 0), PAPER)
    canvas = ImageDraw.Draw(strip)
    for x, row, text, colour in places:
        middle = GAP / 2 + (row + 0.5) * line
        canvas.rectangle((x, middle - size / 2, x + size, middle + size / 2), fill=colour)
        canvas.text((x + 1.6 * size, middle), text, font=letters, fill=INK, anchor="lm")
    return np.asarray(strip)


def _text(
    canvas: ImageDraw.ImageDraw,
    left_middle: tuple[float, float],
    text: str,
    size: int,
    colour: Colour,
    width: float,
    bold: bool = False,
    keep_end: bool = False,
) -> None:
    short = shorten(text, size, width, bold, keep_end)
    canvas.text(left_middle, short, font=font(size, bold), fill=colour, anchor="lm")
