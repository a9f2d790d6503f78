"""One HTML page that needs no other file: tables, figures and, per row, the content of its runs.

`document.html` has the markup, with every value escaped by Jinja; this file gives it plain values.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lightdet.core.score import primary_of
from lightdet.draw.curves import hex_colour
from lightdet.draw.palette import ALARM, FAINT, INK, PAPER, class_colour
from lightdet.report.comparison import Comparison
from lightdet.report.rows import Row, whole
from lightdet.report.table import Cell, Column, Table, amount, choice_names, measured

HERE = Path(__file__).parent
PENDING = ("queued", "running", "killed")
LONG = 14  # letters of a cell that would otherwise be squeezed into a column of words
MOST_CHOICES = 40  # in a list to filter by


@dataclass(slots=True)
class Page:
    """The content of the document."""

    title: str
    rows: Sequence[Row]
    comparisons: dict[int, Comparison]
    tables: Sequence[Table]
    figures: dict[str, bytes]  # title -> PNG
    details: dict[str, Any]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Header:
    """A column's name, and the classes of its cell in the header."""

    name: str
    look: str


@dataclass(frozen=True, slots=True)
class HtmlCell:
    """A cell of a table: its text, smaller words under it, the number to sort by, its classes."""

    text: str | Markup
    look: str = ""
    number: float | None = None
    small: str = ""
    verdict: str = ""


def document(page: Page) -> str:
    """The HTML of the page; a policy in its head forbids every connection and every script but its own."""
    script = (HERE / "document.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    sources = f"img-src data: file: 'self'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return environment.get_template("document.html").render(
        title=page.title,
        policy=f"default-src 'none'; {sources}",
        style=_variables() + (HERE / "document.css").read_text(encoding="utf-8"),
        script=script,
        details=as_json(page.details),
        summary=summary(page.rows),
        notes=page.notes,
        lists=_lists(page.rows),
        overview=_overview(page),
        figures={
            title: f"data:image/png;base64,{base64.b64encode(content).decode()}"
            for title, content in page.figures.items()
        },
        tables=[_table(table) for table in page.tables],
    )


def as_json(value: Any) -> str:
    """JSON that cannot end the element that holds it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def summary(rows: Sequence[Row]) -> str:
    """Such as "6 rows, 12 jobs: 11 done, 1 failed"."""
    states: dict[str, int] = {}
    for row in rows:
        for job in row.jobs:
            states[job.state] = states.get(job.state, 0) + 1
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    jobs = sum(states.values())
    return f"{len(rows)} row{'' if len(rows) == 1 else 's'}, {jobs} job{'' if jobs == 1 else 's'}: {counts}"


def _variables() -> str:
    """The colours of pictures and plots, for the page."""
    names = {"paper": PAPER, "ink": INK, "faint": FAINT, "alarm": ALARM}
    colours = {**names, **{f"line{index}": class_colour(index) for index in range(8)}}
    return ":root{" + "".join(f"--{name}:{hex_colour(colour)};" for name, colour in colours.items()) + "}\n"


def _lists(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What rows can be filtered by: a list per choice, and one for the state."""
    lists = []
    for name in choice_names(rows):
        values = list(dict.fromkeys(row.choices.get(name, "") for row in rows))
        if 1 < len(values) <= MOST_CHOICES:
            lists.append({"title": name, "key": name, "choices": values})
    states = list(dict.fromkeys(_state(row) for row in rows))
    return lists + ([{"title": "status", "key": "", "choices": states}] if len(states) > 1 else [])


def _state(row: Row) -> str:
    states = {job.state for job in row.jobs}
    if states == {"done"}:
        return "finished"
    if states <= {"done", "pruned"}:
        return "pruned"
    return "unfinished" if states <= {"done", *PENDING} else "failed"


def _overview(page: Page) -> dict[str, Any]:
    """The table whose rows open: its columns, and per row its cells between number and status."""
    score = primary_of(page.rows[0].scores)
    others = [other for other in whole(page.rows) if other is not score][::-1]
    names = choice_names(page.rows)
    titles = [
        score.title,
        "- baseline",
        *(other.title for other in others),
        "parameters",
        "GFLOPs",
        "input px",
        "seeds",
    ]
    columns = [Column("row"), *(Column(name, numeric=False) for name in names), Column("choices", numeric=False)]
    columns += [*map(Column, titles), Column("status", numeric=False)]
    kinds = ["", *("many" for _ in names), "few", "", "", *("many" for _ in (*others, *range(4))), ""]
    rows = []
    for row in page.rows:
        size = row.words(lambda job: job.image_size)
        cells = [measured(row.value(score)), Cell(page.comparisons[row.number].reason)]
        cells += [*(measured(row.value(other)) for other in others), amount(row.cost("parameters"))]
        cells += [amount(row.cost("gflops"), 2), Cell(size, float(size) if size.isdigit() else None)]
        cells += [Cell(str(len(row.finished) or "-"), len(row.finished))]
        choices = [Cell(row.choices.get(name, "-")) for name in names]
        every = list(zip([*choices, Cell(row.label), *cells], columns[1:-1], kinds[1:-1], strict=True))
        shown = [_cell(cell, column, kind) for cell, column, kind in every]
        shown[len(names)] = HtmlCell(_breakable(row.label), "few")
        if score.key in page.comparisons[row.number].differences:
            shown[len(names) + 2] = _difference(page.comparisons[row.number], score.key)
        words = f"{row.label} {row.status()} {' '.join(row.options.values())}".lower()
        facts = {"number": row.number, "find": words, "choices": as_json(row.choices), "state": _state(row)}
        rows.append({**facts, "status": row.status(), "cells": shown})
    return {"columns": _headers(columns, kinds), "rows": rows}


def _breakable(label: str) -> Markup:
    """A label that a narrow column may break behind = and _."""
    return escape(label).replace("=", Markup("=<wbr>")).replace("_", Markup("_<wbr>"))


def _difference(comparison: Comparison, key: str) -> HtmlCell:
    """The estimate with its interval and verdict under it."""
    difference = comparison.differences[key]
    low, high = difference.interval
    text = Markup("<b>{:+.3f}</b>").format(difference.estimate)
    return HtmlCell(text, "number", difference.estimate, f"{low:+.3f} to {high:+.3f}", difference.verdict)


def _headers(columns: Sequence[Column], kinds: Sequence[str]) -> list[Header]:
    return [
        Header(column.name, f"{kind}{' number' if column.numeric else ''}{' paper' if column.paper else ''}")
        for column, kind in zip(columns, kinds, strict=True)
    ]


def _cell(cell: Cell, column: Column, kind: str = "") -> HtmlCell:
    """The spread goes under its mean; words in a numeric column look like words."""
    text, _, spread = cell.text.partition(" ± ") if cell.spread is not None else (cell.text, "", "")
    words = column.numeric and cell.number is None and len(cell.text) > 1
    look = f"{kind}{' number' if column.numeric and not words else ''}{' paper' if column.paper else ''}"
    look += " words" if words else " long" if not column.numeric and len(cell.text) > LONG else ""
    return HtmlCell(text, look, cell.number, f"± {spread}" if spread else "")


def _table(table: Table) -> dict[str, Any]:
    """`whole`: a table whose lines are not the rows of the study, so that no filter hides them."""
    lines = [
        (number, [_cell(cell, column) for cell, column in zip(cells, table.columns, strict=True)])
        for number, cells in zip(table.rows, table.lines, strict=True)
    ]
    headers = _headers(table.columns, [""] * len(table.columns))
    return {
        "title": table.title,
        "columns": headers,
        "lines": lines,
        "notes": table.notes,
        "whole": table.columns[0].name != "row",
    }
