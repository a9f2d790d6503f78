"""A table before it is Markdown, CSV or HTML: columns, and cells with text and number."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lightdet.core import table as writer
from lightdet.report.rows import Row, Value

DASH = "-"
SPREAD = " spread"  # what the header of such a column ends with


@dataclass(frozen=True, slots=True)
class Cell:
    """The text, and the number behind it."""

    text: str
    number: float | None = None
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    numeric: bool = True
    paper: bool = False  # published elsewhere, not measured here
    worded: bool = False  # its text has more than its number


@dataclass(slots=True)
class Table:
    name: str  # of its file
    title: str
    columns: list[Column]
    lines: list[list[Cell]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)  # of the study, one per line
    notes: list[str] = field(default_factory=list)


def measured(value: Value | None, digits: int = 3) -> Cell:
    """Mean, with the spread where there is one."""
    if value is None:
        return Cell(DASH)
    spread = "" if value.spread is None else f" ± {value.spread:.{digits}f}"
    return Cell(f"{value.mean:.{digits}f}{spread}", value.mean, value.spread)


def amount(value: float | None, digits: int | None = None) -> Cell:
    """A count with separators, or with digits a number."""
    if value is None:
        return Cell(DASH)
    return Cell(f"{value:,.0f}" if digits is None else f"{value:.{digits}f}", value)


def chance(p: float) -> Cell:
    """A p value."""
    return Cell("<0.001" if p < 0.001 else f"{p:.3f}", p)


def head(rows: Sequence[Row]) -> list[Column]:
    """The columns that every table opens with."""
    return [Column("row"), *(Column(name, numeric=False) for name in choice_names(rows))]


def opening(row: Row, names: Sequence[str]) -> list[Cell]:
    """The cells under `head`."""
    return [Cell(str(row.number), row.number), *(Cell(row.choices.get(name, DASH)) for name in names)]


def choice_names(rows: Sequence[Row]) -> list[str]:
    """The choices in which the rows differ."""
    return list(dict.fromkeys(name for row in rows for name in row.choices))


def to_markdown(table: Table) -> str:
    """With its title and notes."""
    texts = [[cell.text for cell in cells] for cells in table.lines]
    header, numeric = [column.name for column in table.columns], [column.numeric for column in table.columns]
    notes = "".join(f"\n{writer.as_text(note)}\n" for note in table.notes)
    return "\n".join([f"## {writer.as_text(table.title)}", "", writer.to_markdown(header, texts, numeric), notes])


class PlainTable(NamedTuple):
    """A table as plain data, at full precision, for files and trackers."""

    name: str
    title: str
    header: list[str]
    rows: list[list[str | float | None]]
    notes: list[str]


def plain(table: Table) -> PlainTable:
    """A column of spreads follows one that has any; a cell of a numeric column without a number keeps its words, and
    an empty one is None."""
    spreads = [any(cells[index].spread is not None for cells in table.lines) for index in range(len(table.columns))]
    header: list[str] = []
    for column, spread in zip(table.columns, spreads, strict=True):
        header += [column.name, f"{column.name}{SPREAD}"] if spread else [column.name]
    rows = []
    for cells in table.lines:
        values: list[str | float | None] = []
        for column, cell, spread in zip(table.columns, cells, spreads, strict=True):
            words = None if column.numeric and cell.text == DASH else cell.text
            values.append(cell.number if column.numeric and cell.number is not None else words)
            values += [cell.spread] if spread else []
        rows.append(values)
    return PlainTable(table.name, table.title, header, rows, list(filter(None, table.notes)))


def to_csv(table: Table) -> str:
    """The plain table as a file: a dash where a number is missing, nothing where a spread is."""
    content = plain(table)
    blanks = ["" if name.endswith(SPREAD) else DASH for name in content.header]
    lines = [
        [blank if value is None else value for value, blank in zip(values, blanks, strict=True)]
        for values in content.rows
    ]
    return writer.to_csv([content.header, *lines])
