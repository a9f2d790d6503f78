"""A study as a table: one line per job, as text, Markdown and CSV. No torch here."""

import csv
import io
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightdet.core.files import write_text
from lightdet.runs.jobs import Job

MEANS = {"mAP50": "map50", "mAP50-95": "map50_95"}
Column = tuple[str, Callable[[Job], Any]]


def choice_columns(jobs: list[Job]) -> list[Column]:
    """The choices in which the jobs differ; all of them when there is nothing to compare."""
    keys = list(dict.fromkeys(key for job in jobs for key in job.choices))

    def value(job: Job, key: str) -> str:
        return job.choices.get(key, job.options.get(key, "-"))

    varying = [key for key in keys if len({value(job, key) for job in jobs}) > 1] or keys
    columns: list[Column] = [(key, lambda job, key=key: value(job, key)) for key in varying]  # type: ignore[misc]
    if len({job.seed for job in jobs}) > 1:
        columns.append(("seed", lambda job: job.seed))
    return columns


def distinct_choices(job: Job, columns: list[Column]) -> dict[str, str]:
    """The values of a job in the columns of `choice_columns` without the seed; a default that was typed equals one that
    was not."""
    return {name: str(read(job)) for name, read in columns if name != "seed"}


def _number_columns(jobs: list[Job]) -> list[Column]:
    """AP50 per class, the means and the size."""
    classes = list(dict.fromkeys(name for job in jobs for name in job.classes()))
    columns: list[Column] = [(name, lambda job, name=name: job.ap50(name)) for name in classes]  # type: ignore[misc]
    columns += [(title, lambda job, key=key: job.metric(key)) for title, key in MEANS.items()]  # type: ignore[misc]
    columns.append(("params", lambda job: job.parameters()))
    return columns


def _cell(value: Any, header: str) -> str:
    if value is None:
        return "-"
    if header == "params":
        return f"{value / 1e6:.2f} M" if value >= 1e4 else f"{value:.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def same_as(job: Job, jobs: list[Job], columns: list[Column]) -> str:
    """Which earlier job has the same training, named by the choices that differ: "= head=76"; "" for none."""
    first = next((other for other in jobs if other.name == job.shared_with), None)
    if first is None:
        return ""
    differs = [f"{name}={read(first)}" for name, read in columns if read(first) != read(job)]
    return f"= {', '.join(differs) or 'an equal job'}"


def _where(job: Job, same: str, brief: bool) -> str:
    """The last column: the run, or why there is none; `brief` leaves out the obvious folder."""
    if same:
        return same if brief else f"= {job.run}"
    if job.state == "done":
        return "" if brief else job.run
    return f"{job.state}: {job.reason}" if job.reason and not brief else job.state


def _broken(header: str, width: int = 9) -> list[str]:
    """A long header in lines: "pitted_surface" -> ["pitted_", "surface"]."""
    lines = [""]
    for part in re.findall(r"[^_\s-]+[_\s-]?|.", header):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return lines


def cells(jobs: list[Job], brief: bool = False) -> list[list[str]]:
    """Header and lines as strings; choices with several seeds get a line `mean ± sd (n)`, sd the sample deviation. When
    brief, classes show their mean alone, and the line fits a terminal."""
    choices, numbers = choice_columns(jobs), _number_columns(jobs)
    table = [[*(name for name, _ in choices), *(name for name, _ in numbers), "" if brief else "run"]]
    for job in jobs:
        said = [str(read(job)) for _, read in choices]
        where = _where(job, same_as(job, jobs, choices), brief)
        table.append([*said, *(_cell(read(job), name) for name, read in numbers), where])
    return table + _seed_cells(jobs, choices, numbers, brief)


def _over_seeds(values: list[float], name: str, with_spread: bool) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if with_spread else ""
    return _cell(float(statistics.fmean(values)), name) + spread


def _seed_cells(jobs: list[Job], choices: list[Column], numbers: list[Column], brief: bool) -> list[list[str]]:
    groups: dict[tuple[tuple[str, str], ...], dict[tuple[str, str], Job]] = {}
    for job in jobs:
        if job.state == "done":  # a training that answers several jobs of a group counts once
            group = groups.setdefault(tuple(distinct_choices(job, choices).items()), {})
            group.setdefault((job.run, job.seed), job)
    lines = []
    for members in [list(group.values()) for group in groups.values()]:
        if len({job.seed for job in members}) < 2:
            continue
        line = [f"mean ± sd ({len(members)})" if name == "seed" else str(read(members[0])) for name, read in choices]
        for name, read in numbers:
            values = [value for value in map(read, members) if value is not None]
            with_spread = name != "params" and (not brief or name in MEANS)
            line.append(_over_seeds(values, name, with_spread) if len(values) == len(members) else "-")
        lines.append([*line, f"{len(members)} seeds"])
    return lines


def to_text(jobs: list[Job]) -> str:
    """Columns padded with spaces, for a terminal: long class names are broken, and a run is named where it is news."""
    header, *body = cells(jobs, brief=True)
    left = len(choice_columns(jobs))
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


def to_markdown(jobs: list[Job]) -> str:
    """A Markdown table, with the failed jobs named under it."""
    header, *body = [[cell.replace("|", "\\|") for cell in line] for line in cells(jobs)]
    left = len(choice_columns(jobs))
    rule = ["---" if index < left or index == len(header) - 1 else "---:" for index in range(len(header))]
    lines = ["| " + " | ".join(line) + " |" for line in (header, rule, *body)]
    notes = failures([job for job in jobs if job.state == "failed"])
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]).rstrip() + "\n"


def to_csv(jobs: list[Job]) -> str:
    """One line per job at full precision; its state and the reason of a failure too."""
    choices, numbers = choice_columns(jobs), _number_columns(jobs)
    if all(name != "seed" for name, _ in choices):
        choices.append(("seed", lambda job: job.seed))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [name for name, _ in (*choices, *numbers)]
    writer.writerow([*names, "state", "run", "shared_with", "reason"])
    for job in jobs:
        values = [read(job) for _, read in (*choices, *numbers)]
        writer.writerow([*values, job.state, job.run, job.shared_with, job.reason])
    return out.getvalue()


def write_tables(study_path: Path, jobs: list[Job]) -> None:
    """table.md and table.csv in the study's folder."""
    write_text(study_path / "table.md", to_markdown(jobs))
    write_text(study_path / "table.csv", to_csv(jobs))


def failures(jobs: list[Job]) -> list[str]:
    """One line per job that is not done: its state and name, the reason, and where the traceback is."""
    return [
        f"{job.state.upper()} {job.name}"
        + (f": {job.reason}" if job.reason else "")
        + (f" (traceback: {job.traceback})" if job.traceback else "")
        for job in jobs
    ]
