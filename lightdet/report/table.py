"""A study as a table: one row per job that was asked for, as text, Markdown and CSV.

Everything is read from the files in the study's folder. No torch here.
"""

import csv
import io
import math
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightdet.disk import read_json, write_text
from lightdet.error import LightdetError
from lightdet.identity import counts
from lightdet.run import RunFolder


@dataclass(slots=True)
class Row:
    """One job and what became of it."""

    name: str
    choices: dict[str, str]  # what was said on the command line, seed apart
    options: dict[str, str]  # every chosen option and plain value, defaults included
    seed: str
    state: str  # done, pruned, running, queued, killed, failed; missing or unreadable when its files are
    run: str  # folder of the training, relative to the study
    shared_with: str = ""  # the first row's name when this row shares its training
    reason: str = ""
    traceback: str = ""
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether it is over as intended: trained to its end, or ended early by a search."""
        return self.state in ("done", "pruned")

    def ap50(self, class_name: str) -> float | None:
        """AP50 of one class, 0..1."""
        return _number(inside(self.results, "metrics", "per_class", class_name, "ap50"))

    def metric(self, name: str) -> float | None:
        """map50, map75 or map50_95, 0..1."""
        return _number(inside(self.results, "metrics", name))

    def own_metric(self, name: str) -> float | None:
        """The same as its own evaluator measured it, of a model that another framework trained."""
        return _number(inside(self.results, "own_evaluator", name))

    def cost(self, name: str) -> float | None:
        """parameters, macs, gflops or image_size (px) as measured when the training began."""
        return _number(inside(self.results, "footprint", name))

    def parameters(self) -> int | None:
        """How many weights the network has."""
        value = self.cost("parameters")
        return None if value is None else round(value)

    def classes(self) -> list[str]:
        """The classes measured."""
        per_class = inside(self.results, "metrics", "per_class")
        return list(per_class) if isinstance(per_class, dict) else []


def inside(tree: Any, *keys: str) -> Any:
    """The value under a path of keys; None where the path ends early, whatever a damaged file holds instead."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def read_rows(study_path: Path) -> list[Row]:
    """Every row asked for in a study, in the order in which its sweep listed them.

    A row whose files are gone or broken says so in its state and reason; the others are read all the same.
    """
    named = [(_number_of(job), _read_row(name, job, study_path)) for name, job in _read_jobs(study_path)]
    rows = [row for _, row in sorted(named, key=lambda pair: (pair[0], pair[1].name))]
    first: dict[str, str] = {}
    for row in rows:
        if row.run:
            row.shared_with = "" if first.setdefault(row.run, row.name) == row.name else first[row.run]
    return rows


def _read_jobs(study_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((study_path / "jobs").glob("*.json")):
        try:
            yield path.stem, read_json(path)
        except (LightdetError, OSError) as error:
            yield path.stem, {"state": "unreadable", "reason": str(error)}


def _number_of(job: dict[str, Any]) -> float:
    return _number(job.get("number")) or 0


def _read_row(name: str, job: dict[str, Any], study_path: Path) -> Row:
    overrides, choices = job.get("overrides"), job.get("choices")
    words = [str(word).lstrip("+").partition("=") for word in (overrides if isinstance(overrides, list) else [])]
    row = Row(
        name=name,
        choices={key: value for key, _, value in words if counts(key)},
        options={key: str(value) for key, value in (choices if isinstance(choices, dict) else {}).items()},
        seed=str(job.get("seed")),
        state=str(job.get("state", "queued")),
        run=str(job.get("run") or ""),
        reason=str(job.get("reason") or ""),
    )
    if row.run:
        try:
            if not (study_path / row.run).resolve().is_relative_to(study_path.resolve()):
                raise LightdetError(f"jobs/{name}.json: its run, {row.run[:80]}, lies outside of the study")
            _read_run(row, RunFolder(study_path / row.run))
        except (LightdetError, OSError) as error:
            row.state, row.reason = "unreadable", str(error)
    return row


def _read_run(row: Row, folder: RunFolder) -> None:
    """Fill in what the run's own files say."""
    status = folder.read_status()
    if not status:
        row.state, row.reason = "missing", f"no status.json in {folder.path}"
        return
    row.state = str(status.get("state", "queued"))
    row.reason, row.traceback = str(status.get("reason") or ""), str(status.get("traceback") or "")
    if row.state == "running":
        holder = folder.holder()
        row.state, row.reason = ("killed", "") if holder is None else ("running", f"pid {holder}")
    if row.state == "done":
        row.results = folder.read_results()
        if not row.results:
            row.state, row.reason = "unreadable", f"{folder.results_path}: no results in it, though the run is done"


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


def _where(row: Row, brief: bool) -> str:
    """The last column: the run, or why there is none; `brief` leaves out the obvious folder."""
    if row.shared_with:
        return f"= {row.run}"
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
        table.append([*said, *(_cell(read(row), name) for name, read in numbers), _where(row, brief)])
    return table + _seed_cells(rows, choices, numbers, brief)


def _over_seeds(values: list[float], name: str, with_spread: bool) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if with_spread else ""
    return _cell(float(statistics.fmean(values)), name) + spread


def _seed_cells(rows: list[Row], choices: list[Column], numbers: list[Column], brief: bool) -> list[list[str]]:
    groups: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in rows:
        if row.state == "done":
            groups.setdefault(tuple(told_apart_by(row, choices).items()), []).append(row)
    lines = []
    for members in groups.values():
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
