"""One HTML page that needs nothing else: tables, figures and, per row, what its runs left. All text is escaped."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from lightdet.draw.curves import hex_colour
from lightdet.draw.palette import ALARM, FAINT, INK, PAPER, class_colour
from lightdet.report.comparison import Comparison
from lightdet.report.difference import Difference
from lightdet.report.rows import Row
from lightdet.report.table import Cell, Column, Table, amount, choice_names, measured

HERE = Path(__file__).parent
PENDING = ("queued", "running", "killed")
LONG = 14  # letters of a cell that would otherwise be squeezed into a column of words
MOST_CHOICES = 40  # in a list to filter by


@dataclass(slots=True)
class Page:
    """What goes into the document."""

    title: str
    rows: Sequence[Row]
    comparisons: dict[int, Comparison]
    tables: Sequence[Table]
    figures: dict[str, bytes]  # title -> PNG
    details: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def document(page: Page) -> str:
    """The page's HTML; a policy in its head forbids every connection and every script but its own."""
    script = (HERE / "document.js").read_text(encoding="utf-8")
    style = _variables() + (HERE / "document.css").read_text(encoding="utf-8")
    proof = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data: file: 'self'; style-src 'unsafe-inline'; script-src 'sha256-{proof}'"
    body = "\n".join(
        [
            f"<header><h1>{escape(page.title)}</h1><p>{escape(summary(page.rows))}</p>{_notes(page.notes)}</header>",
            f"<main><section>{_filters(page.rows)}{_overview(page)}</section>",
            _section("Figures", "".join(_figure(title, content) for title, content in page.figures.items())),
            '<section id="examples" hidden><h2>Examples</h2><div class="gallery"></div></section>',
            *(_section(table.title, _html_table(table) + _notes(table.notes)) for table in page.tables),
            "</main>",
        ]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n<style>{style}</style></head>\n<body>\n{body}\n"
        f'<script type="application/json" id="details">{as_json(page.details)}</script>\n'
        f"<script>{script}</script>\n</body></html>\n"
    )


def as_json(value: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def summary(rows: Sequence[Row]) -> str:
    """Such as "6 rows, 12 jobs: 11 done, 1 failed"."""
    states: dict[str, int] = {}
    for row in rows:
        for job in row.jobs:
            states[job.state] = states.get(job.state, 0) + 1
    told = ", ".join(f"{count} {state}" for state, count in states.items())
    jobs = sum(states.values())
    return f"{len(rows)} row{'' if len(rows) == 1 else 's'}, {jobs} job{'' if jobs == 1 else 's'}: {told}"


def _variables() -> str:
    """The colours of pictures and plots, for the page."""
    names = {"paper": PAPER, "ink": INK, "faint": FAINT, "alarm": ALARM}
    colours = {**names, **{f"line{index}": class_colour(index) for index in range(4)}}
    return ":root{" + "".join(f"--{name}:{hex_colour(colour)};" for name, colour in colours.items()) + "}\n"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes if note)


def _figure(title: str, content: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return f'<figure><div class="wide"><img alt="{escape(title)}" src="{source}"></div></figure>'


def _filters(rows: Sequence[Row]) -> str:
    """A text field, and a list per choice and for the state."""
    parts = ['<label>find <input type="search" id="find" placeholder="words, all of which must occur"></label>']
    for name in choice_names(rows):
        values = list(dict.fromkeys(row.choices.get(name, "") for row in rows))
        if 1 < len(values) <= MOST_CHOICES:
            parts.append(_list(name, name, values))
    states = list(dict.fromkeys(_state(row) for row in rows))
    if len(states) > 1:
        parts.append(_list("status", "", states))
    return f'<form class="filters">{"".join(parts)}<output id="shown"></output></form>'


def _list(title: str, key: str, values: Sequence[str]) -> str:
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    label = escape(title, quote=True)
    return f'<label>{label} <select data-key="{escape(key)}"><option value="">any</option>{options}</select></label>'


def _state(row: Row) -> str:
    states = {job.state for job in row.jobs}
    if states == {"done"}:
        return "finished"
    if states <= {"done", "pruned"}:
        return "pruned"
    return "unfinished" if states <= {"done", *PENDING} else "failed"


def _overview(page: Page) -> str:
    """The table whose rows open."""
    names = choice_names(page.rows)
    columns = [Column("row"), *(Column(name, numeric=False) for name in names), Column("choices", numeric=False)]
    columns += [Column(name) for name in ("mAP50-95", "- baseline", "mAP75", "mAP50", "parameters", "GFLOPs")]
    columns += [Column("input px"), Column("seeds"), Column("status", numeric=False)]
    kinds = ["", *("many" for _ in names), "few", "", "", "many", "many", "many", "many", "many", "many", ""]
    lines = []
    for row in page.rows:
        means = [measured(row.over_seeds(lambda job, key=key: job.metric(key))) for key in ("map75", "map50")]  # type: ignore[misc]
        size = row.said(lambda job: job.image_size)
        cells = [
            Cell(str(row.number), row.number),
            *(Cell(row.choices.get(name, "-")) for name in names),
            Cell(row.label),
            measured(row.over_seeds(lambda job: job.metric("map50_95"))),
            _difference(page.comparisons[row.number]),
            *means,
            amount(row.cost("parameters")),
            amount(row.cost("gflops"), 2),
            Cell(size, float(size) if size.isdigit() else None),
            Cell(str(len(row.finished) or "-"), len(row.finished)),
            Cell(row.status()),
        ]
        found = page.comparisons[row.number].differences.get("map50_95")
        parts = [_cell(cell, column, kind) for cell, column, kind in zip(cells, columns, kinds, strict=True)]
        parts[len(names) + 3] = _difference_html(found) if found else parts[len(names) + 3]
        state = _state(row)
        label = escape(row.label).replace("=", "=<wbr>").replace("_", "_<wbr>")  # where a narrow column may break it
        parts[len(names) + 1] = f'<td class="few">{label}</td>'
        parts[-1] = f'<td class="status {state}"><span>{escape(row.status())}</span></td>'
        parts[0] = (
            f'<td class="number" data-v="{row.number}"><button type="button" aria-expanded="false" '
            f'aria-label="open row {row.number}">{row.number}</button></td>'
        )
        search = f"{row.label} {row.status()} {' '.join(row.options.values())}".lower()
        choices = as_json(row.choices)
        lines.append(
            f'<tr data-row="{row.number}" data-find="{escape(search)}" data-choices="{escape(choices)}" '
            f'data-state="{state}">{"".join(parts)}</tr>'
        )
    return f'<div class="wide"><table id="rows">{_header(columns, kinds)}<tbody>{"".join(lines)}</tbody></table></div>'


def _difference(found: Comparison) -> Cell:
    known = found.differences.get("map50_95")
    return Cell(found.reason) if known is None else Cell(f"{known.estimate:+.3f}", known.estimate)


def _difference_html(found: Difference) -> str:
    low, high = found.interval
    noise = f'<em class="noise">{found.verdict}</em>' if found.verdict else ""
    interval = f"<small>{low:+.3f} to {high:+.3f}</small>"
    return f'<td class="number" data-v="{found.estimate}"><b>{found.estimate:+.3f}</b>{interval}{noise}</td>'


def _header(columns: Sequence[Column], kinds: Sequence[str]) -> str:
    cells = [
        f'<th class="{kind}{" number" if column.numeric else ""}{" paper" if column.paper else ""}" scope="col">'
        f'<button type="button">{escape(column.name)}</button></th>'
        for column, kind in zip(columns, kinds, strict=True)
    ]
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def _cell(cell: Cell, column: Column, kind: str = "") -> str:
    number = "" if cell.number is None else f' data-v="{cell.number!r}"'
    text = escape(cell.text)
    if cell.spread is not None:
        mean, _, spread = text.partition(" ± ")
        text = f"{mean}<small>± {spread}</small>"
    words = column.numeric and cell.number is None and len(cell.text) > 1
    look = f"{kind}{' number' if column.numeric and not words else ''}{' paper' if column.paper else ''}"
    look += " words" if words else " long" if not column.numeric and len(cell.text) > LONG else ""
    return f'<td class="{look}"{number}>{text}</td>'


def _html_table(table: Table) -> str:
    lines = []
    for number, cells in zip(table.rows, table.lines, strict=True):
        content = "".join(_cell(cell, column) for cell, column in zip(cells, table.columns, strict=True))
        lines.append(f'<tr data-row="{number}">{content}</tr>')
    header = _header(table.columns, [""] * len(table.columns))
    kept = ' class="whole"' if table.columns[0].name != "row" else ""
    return f'<div class="wide"><table{kept}>{header}<tbody>{"".join(lines)}</tbody></table></div>'
