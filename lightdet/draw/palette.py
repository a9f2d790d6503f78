"""Colours and letters shared by pictures and plots, so that a class looks the same everywhere."""

import colorsys
from bisect import bisect_right
from functools import lru_cache
from pathlib import Path

import matplotlib
from PIL import ImageFont

Colour = tuple[int, int, int]  # RGB, 0..255

# Saturated and far apart, as the images under them are mostly grey.
CLASS_COLOURS: tuple[Colour, ...] = (
    (230, 57, 70),
    (29, 125, 220),
    (34, 160, 70),
    (245, 140, 20),
    (150, 60, 200),
    (0, 175, 185),
    (230, 60, 190),
    (160, 105, 30),
    (110, 130, 20),
    (90, 90, 230),
)
PAPER: Colour = (255, 255, 255)
INK: Colour = (33, 37, 41)
FAINT: Colour = (108, 117, 125)
ALARM: Colour = (190, 30, 45)


def class_colour(label: int) -> Colour:
    """The colour of class `label`; past the list, hues a golden angle apart."""
    if label < len(CLASS_COLOURS):
        return CLASS_COLOURS[label]
    red, green, blue = colorsys.hsv_to_rgb((0.07 + label * 0.618034) % 1.0, 0.8, 0.75)
    return round(red * 255), round(green * 255), round(blue * 255)


def ink_on(background: Colour) -> Colour:
    """Black or white, whichever is easier to read on that colour."""
    luminance = 0.299 * background[0] + 0.587 * background[1] + 0.114 * background[2]
    return INK if luminance > 160 else PAPER


@lru_cache(maxsize=16)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along (Latin, Greek and Cyrillic), `size` px high."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def printable(text: str) -> str:
    """The text in one line that every font and library takes: control characters, halves of characters and line breaks
    become spaces."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)


def literal(text: str) -> str:
    """Text of data for matplotlib, which reads what stands between two dollar signs as a formula, and leaves out of a
    legend what begins with an underscore."""
    plain = printable(text).replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def shorten(text: str, size: int, width: float, bold: bool = False, keep_end: bool = False) -> str:
    """The text, cut with an ellipsis to at most `width` px; keep_end cuts at the front, as is best for file names."""
    letters, text = font(size, bold), printable(text)
    if letters.getlength(text) <= width:
        return text

    def cut(length: int) -> str:
        return "…" + text[len(text) - length :] if keep_end else text[:length] + "…"

    fitting = bisect_right(range(len(text)), width, key=lambda length: letters.getlength(cut(length))) - 1
    return cut(fitting) if fitting > 0 else ""
