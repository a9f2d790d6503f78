"""Reads a table of text: CSV as spreadsheets write it, and columns with blanks between them. It is not trusted."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lightdet.core.errors import LightdetError
from lightdet.core.reading import MEBIBYTE, MOST_BYTES
from lightdet.data.files import read_text

BLANKS = " "  # as a separator: any run of blanks and tabs
SEPARATORS = ("\t", ";", ",")  # in this order: `a.png;0,5` has both of the last two
LOOKED_AT = 50  # lines from which the separator is told
NAMES = {"\t": "tab", ";": "semicolon", ",": "comma", BLANKS: "blanks"}


class Row(NamedTuple):
    """The cells of a line, without the blanks around them."""

    line: int  # from 1; the first one of a row whose quoted cell has several
    cells: tuple[str, ...]


def read_table(path: Path, separator: str | None = None) -> list[Row]:
    """The rows of a file, those without any text left out. `separator`: one character; None: told from the lines.

    Raises LightdetError for a file that is no text, too large, or has no second column, and for quotes that do not
    close. Rows may differ in length: who uses them checks it.
    """
    if separator is not None and (not isinstance(separator, str) or len(separator) != 1):
        raise LightdetError(f"data.reader.separator={separator}: one character, or null to have it told from the lines")
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise LightdetError(f"{path}: more than {MOST_BYTES / MEBIBYTE:g} MiB; is this a table of labels?")
    text = read_text(path)
    separator = separator_of(text) if separator is None else separator
    rows = []
    try:
        rows = list(rows_of(text, separator or ","))
    except csv.Error as error:
        raise LightdetError(f"{path}: {error}; correct the line, or set data.reader.separator") from error
    if not rows:
        raise LightdetError(f"{path}: an empty table; give one with a line for each image")
    if separator is None or len(rows[0].cells) < 2:
        shown, meant = rows[0].cells[0][:60], f" at {NAMES.get(separator, repr(separator))}" if separator else ""
        raise LightdetError(
            f"{path}: line {rows[0].line}: one column{meant}, {shown!r}; a table has an image and its label, set "
            "data.reader.separator if they stand there"
        )
    return rows


def separator_of(text: str) -> str | None:
    """The character between the cells: the one that gives all of the first lines the same number of them, or most of
    them; None where none does. Blanks only where nothing else divides the lines."""
    head = "\n".join(line for line in re.split(r"\r\n|\r|\n", text)[:LOOKED_AT] if line.strip())
    for share in (1.0, 0.5):
        for separator in SEPARATORS:
            if _agreement(head, separator) >= share:
                return separator
    return BLANKS if _agreement(head, BLANKS) >= 0.5 else None


def _agreement(text: str, separator: str) -> float:
    """The share of the rows that have the most frequent number of cells; 0 where that is one cell."""
    try:
        lengths = [len(row.cells) for row in rows_of(text, separator)]
    except csv.Error:
        return 0.0
    most, times = Counter(lengths).most_common(1)[0] if lengths else (1, 0)
    return times / len(lengths) if most > 1 else 0.0


def rows_of(text: str, separator: str) -> Iterator[Row]:
    """The rows of a text. Raises csv.Error, which names the line, for quotes that do not close."""
    if separator == BLANKS:
        lines = re.split(r"\r\n|\r|\n", text)
        text = "\n".join(line.replace("\t", BLANKS).strip() for line in lines)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator == BLANKS, strict=True
    )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise csv.Error(f"line {line}: {error}") from error
        row = Row(line, tuple(cell.strip() for cell in cells))
        if any(row.cells):
            yield row
