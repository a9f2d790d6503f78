"""The writer of every table: aligned text for a terminal, Markdown and CSV. No torch here.

Cells hold names that other people chose. They are text in all three, never markup, never a formula.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightdet.core.shown import shown, shown_lines

WIDEST = 10_000  # characters of a line that no terminal breaks
FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # first letters of what a spreadsheet computes
MARKUP = re.compile(r"([\\|`\[\]*$~])|(?<![^\W_])_|_(?![^\W_])")  # a _ inside of a word is none


def rich_table(header: Sequence[str], lines: Iterable[Sequence[str]], numeric: Sequence[bool]) -> Table:
    """Columns under their header, `numeric` ones to the right; a header may have several lines."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name, is_numeric in zip(header, numeric, strict=True):
        title, side = Text(shown_lines(name)), "right" if is_numeric else "left"
        table.add_column(title, justify=side, vertical="bottom", overflow="fold")  # type: ignore[arg-type]
    for line in lines:
        table.add_row(*(Text(shown_lines(cell)) for cell in line))
    return table


def to_text(header: Sequence[str], lines: Iterable[Sequence[str]], numeric: Sequence[bool]) -> str:
    """The table of `rich_table` as plain text that is never wrapped."""
    console = Console(file=io.StringIO(), width=WIDEST, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(rich_table(header, lines, numeric), soft_wrap=True)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def to_markdown(header: Sequence[str], lines: Iterable[Sequence[str]], numeric: Sequence[bool]) -> str:
    """A Markdown table whose `numeric` columns are set to the right; cells are text, never markup."""
    rule = ["---:" if is_numeric else "---" for is_numeric in numeric]
    rows = [list(map(as_text, header)), rule, *(list(map(as_text, line)) for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_text(text: str) -> str:
    """Text on one line of Markdown that opens no column, element, link, code or formula."""
    line = shown(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")
    return MARKUP.sub(lambda sign: f"\\{sign[0]}", line)


def to_csv(lines: Iterable[Sequence[Any]]) -> str:
    """Lines of values, the header first, each on one line; None is an empty cell, and text that a spreadsheet would
    compute gets a ' in front."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([_inert(value) for value in line] for line in lines)
    return out.getvalue()


def _inert(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = shown(value)
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(FORMULA) and len(text) > 1 else text
    return text
