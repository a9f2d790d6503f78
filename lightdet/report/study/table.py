"""A table before it is Markdown, CSV or HTML: columns, and cells that know their number."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from lightdet.report.study.rows import StudyRow, Value

DASH = "-"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is printed, and the number behind it."""

    text: str
    number: float | None = None
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    numeric: bool = True
    paper: bool = False  # published by somebody else, never measured here
    worded: bool = False  # its text says more than its number


@dataclass(slots=True)
class Table:
    name: str  # of its file
    title: str
    columns: list[Column]
    lines: list[list[Cell]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)  # number of the study's row that a line stands for
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


def head(rows: Sequence[StudyRow]) -> list[Column]:
    """The columns that every table opens with."""
    return [Column("row"), *(Column(name, numeric=False) for name in choice_names(rows))]


def opening(row: StudyRow, names: Sequence[str]) -> list[Cell]:
    """The cells under `head`."""
    return [Cell(str(row.number), row.number), *(Cell(row.choices.get(name, DASH)) for name in names)]


def choice_names(rows: Sequence[StudyRow]) -> list[str]:
    """In what the rows differ."""
    return list(dict.fromkeys(name for row in rows for name in row.choices))


def to_markdown(table: Table) -> str:
    """With its title and notes."""

    def line(cells: Sequence[str]) -> str:
        return (
            "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"
        )

    rule = "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|"
    lines = [line([cell.text for cell in cells]) for cells in table.lines]
    notes = "".join(f"\n{note.replace('<', '&lt;')}\n" for note in table.notes)
    return "\n".join([f"## {table.title}", "", line([column.name for column in table.columns]), rule, *lines, notes])


def to_csv(table: Table) -> str:
    """Numbers at full precision; a column of spreads follows one that has any."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for name, _ in values(table)])
    writer.writerows(zip(*(column for _, column in values(table)), strict=True))
    return out.getvalue()


def values(table: Table) -> list[tuple[str, list[float | str | None]]]:
    """Its columns as name and values: numbers where a cell has one, its text elsewhere; spreads in columns of their
    own."""
    told: list[tuple[str, list[float | str | None]]] = []
    for index, column in enumerate(table.columns):
        cells = [line[index] for line in table.lines]
        kept = [cell.number if column.numeric else None for cell in cells]
        told.append((column.name, [cell.text if one is None else one for cell, one in zip(cells, kept, strict=True)]))
        if any(cell.spread is not None for cell in cells):
            told.append((f"{column.name} spread", [cell.spread for cell in cells]))
    return told
