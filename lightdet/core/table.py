"""The writer of every table: aligned text for a terminal, Markdown and CSV. No torch here."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

WIDEST = 10_000  # characters of a line that no terminal breaks


def rich_table(header: Sequence[str], lines: Iterable[Sequence[str]], numeric: Sequence[bool]) -> Table:
    """Columns under their header, `numeric` ones to the right; a header may have several lines."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name, is_numeric in zip(header, numeric, strict=True):
        table.add_column(name, justify="right" if is_numeric else "left", vertical="bottom", overflow="fold")
    for line in lines:
        table.add_row(*line)
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
    """Text on one line of Markdown that opens no column and no element."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def to_csv(lines: Iterable[Sequence[Any]]) -> str:
    """Lines of values, the header first; None is an empty cell."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()
