"""A study as a table: one row per job that was asked for, as text, Markdown and CSV. No torch here."""

import csv
import io
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightdet.core.files import write_text
from lightdet.runs.jobs import Row

MEANS = {"mAP50": "map50", "mAP50-95": "map50_95"}
Column = tuple[str, Callable[[Row], Any]]


def choice_columns(rows: list[Row]) -> list[Column]:
    """The choices in which the rows differ; all of them when there is nothing to compare."""
    keys = list(dict.fromkeys(key for row in rows for key in row.choices))

    def value(row: Row, key: str) -> str:
        return row.choices.get(key, row.options.get(key, "-"))

    varying = [key for key in keys if len({value(row, key) for row in rows}) > 1] or keys
    columns: list[Column] = [(key, lambda row, key=key: value(row, key)) for key in varying]  # type: ignore[misc]
    if len({row.seed for row in rows}) > 1:
        columns.append(("seed", lambda row: row.seed))
    return columns


def told_apart_by(row: Row, columns: list[Column]) -> dict[str, str]:
    """Its words in the columns that `choice_columns` gives, the seed's excepted; a default that was typed is no other
    choice."""
    return {name: str(read(row)) for name, read in columns if name != "seed"}


def _number_columns(rows: list[Row]) -> list[Column]:
    """AP50 per class, the means and the size."""
    classes = list(dict.fromkeys(name for row in rows for name in row.classes()))
    columns: list[Column] = [(name, lambda row, name=name: row.ap50(name)) for name in classes]  # type: ignore[misc]
    columns += [(title, lambda row, key=key: row.metric(key)) for title, key in MEANS.items()]  # type: ignore[misc]
    columns.append(("params", lambda row: row.parameters()))
    return columns


def _cell(value: Any, header: str) -> str:
    if value is None:
        return "-"
    if header == "params":
        return f"{value / 1e6:.2f} M" if value >= 1e4 else f"{value:.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def same_as(row: Row, rows: list[Row], columns: list[Column]) -> str:
    """Which earlier row has the same training, by what it says otherwise: "= head=76"; "" for none."""
    first = next((other for other in rows if other.name == row.shared_with), None)
    if first is None:
        return ""
    differs = [f"{name}={read(first)}" for name, read in columns if read(first) != read(row)]
    return f"= {', '.join(differs) or 'another row alike'}"


def _where(row: Row, same: str, brief: bool) -> str:
    """The last column: the run, or why there is none; `brief` leaves out the obvious folder."""
    if same:
        return same if brief else f"= {row.run}"
    if row.state == "done":
        return "" if brief else row.run
    return f"{row.state}: {row.reason}" if row.reason and not brief else row.state


def _broken(header: str, width: int = 9) -> list[str]:
    """A long header in lines: "pitted_surface" -> ["pitted_", "surface"]."""
    lines = [""]
    for part in re.findall(r"[^_\s-]+[_\s-]?|.", header):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return lines


def cells(rows: list[Row], brief: bool = False) -> list[list[str]]:
    """Header and rows as strings; choices with several seeds get a line `mean ± sd (n)`, sd the sample deviation. When
    brief, classes show their mean alone, and the line fits a terminal."""
    choices, numbers = choice_columns(rows), _number_columns(rows)
    table = [[*(name for name, _ in choices), *(name for name, _ in numbers), "" if brief else "run"]]
    for row in rows:
        said = [str(read(row)) for _, read in choices]
        where = _where(row, same_as(row, rows, choices), brief)
        table.append([*said, *(_cell(read(row), name) for name, read in numbers), where])
    return table + _seed_cells(rows, choices, numbers, brief)


def _over_seeds(values: list[float], name: str, with_spread: bool) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if with_spread else ""
    return _cell(float(statistics.fmean(values)), name) + spread


def _seed_cells(rows: list[Row], choices: list[Column], numbers: list[Column], brief: bool) -> list[list[str]]:
    groups: dict[tuple[tuple[str, str], ...], dict[tuple[str, str], Row]] = {}
    for row in rows:
        if row.state == "done":  # a training that answers several rows of a group counts once
            group = groups.setdefault(tuple(told_apart_by(row, choices).items()), {})
            group.setdefault((row.run, row.seed), row)
    lines = []
    for members in [list(group.values()) for group in groups.values()]:
        if len({row.seed for row in members}) < 2:
            continue
        line = [f"mean ± sd ({len(members)})" if name == "seed" else str(read(members[0])) for name, read in choices]
        for name, read in numbers:
            values = [value for value in map(read, members) if value is not None]
            with_spread = name != "params" and (not brief or name in MEANS)
            line.append(_over_seeds(values, name, with_spread) if len(values) == len(members) else "-")
        lines.append([*line, f"{len(members)} seeds"])
    return lines


def to_text(rows: list[Row]) -> str:
    """Columns padded with spaces, for a terminal: long class names are broken, and a run is named where it is news."""
    header, *body = cells(rows, brief=True)
    left = len(choice_columns(rows))
    heads = [_broken(cell) if left <= index < len(header) - 1 else [cell] for index, cell in enumerate(header)]
    return aligned(heads, body, left)


def aligned(heads: list[list[str]], body: list[list[str]], left: int) -> str:
    """Columns under their heads, each of one line or several: the first `left` ones to the left, the last one as it is
    and the others to the right."""
    height = max(map(len, heads))
    heads = [[""] * (height - len(head)) + head for head in heads]
    lines = [[head[level] for head in heads] for level in range(height)] + body
    widths = [max(len(line[index]) for line in lines) for index in range(len(heads))]

    def padded(line: list[str]) -> str:
        said = [cell.ljust(width) for cell, width in zip(line[:left], widths, strict=False)]
        numbers = [cell.rjust(width) for cell, width in zip(line[left:-1], widths[left:], strict=False)]
        return "  ".join([*said, *numbers, line[-1]]).rstrip()

    rule = "  ".join("-" * width for width in widths[:-1])
    return "\n".join([*map(padded, lines[:height]), rule, *map(padded, lines[height:])])


def to_markdown(rows: list[Row]) -> str:
    """A Markdown table, with the failed jobs named under it."""
    header, *body = [[cell.replace("|", "\\|") for cell in line] for line in cells(rows)]
    left = len(choice_columns(rows))
    rule = ["---" if index < left or index == len(header) - 1 else "---:" for index in range(len(header))]
    lines = ["| " + " | ".join(line) + " |" for line in (header, rule, *body)]
    notes = failures([row for row in rows if row.state == "failed"])
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]).rstrip() + "\n"


def to_csv(rows: list[Row]) -> str:
    """One line per job at full precision; its state and the reason of a failure too."""
    choices, numbers = choice_columns(rows), _number_columns(rows)
    if all(name != "seed" for name, _ in choices):
        choices.append(("seed", lambda row: row.seed))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [name for name, _ in (*choices, *numbers)]
    writer.writerow([*names, "state", "run", "shared_with", "reason"])
    for row in rows:
        values = [read(row) for _, read in (*choices, *numbers)]
        writer.writerow([*values, row.state, row.run, row.shared_with, row.reason])
    return out.getvalue()


def write_tables(study_path: Path, rows: list[Row]) -> None:
    """table.md and table.csv in the study's folder."""
    write_text(study_path / "table.md", to_markdown(rows))
    write_text(study_path / "table.csv", to_csv(rows))


def failures(rows: list[Row]) -> list[str]:
    """One line per job that is not done: its state and name, the reason, and where the traceback is."""
    return [
        f"{row.state.upper()} {row.name}"
        + (f": {row.reason}" if row.reason else "")
        + (f" (traceback: {row.traceback})" if row.traceback else "")
        for row in rows
    ]
