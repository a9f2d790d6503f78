"""A study as a table: one line per job, as text, Markdown and CSV. No torch here."""

import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightdet.core import table as writer
from lightdet.core.files import write_text
from lightdet.core.score import Score, leading
from lightdet.runs.jobs import Job

SIZE = "params"
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


def shown_scores(jobs: list[Job]) -> list[Score]:
    """The leading scores of every task among the jobs."""
    return list(dict.fromkeys(score for job in jobs if job.scores for score in leading(job.scores)))


def _number_columns(jobs: list[Job]) -> list[Column]:
    """The first per-class score by class, the leading scores and the size."""
    classes = list(dict.fromkeys(name for job in jobs for name in job.classes()))

    def of_class(job: Job, name: str) -> float | None:
        score = next((score for score in job.scores if score.per_class), None)
        return None if score is None else job.class_metric(score.key, name)

    columns: list[Column] = [(name, lambda job, name=name: of_class(job, name)) for name in classes]  # type: ignore[misc]
    columns += [(score.title, lambda job, key=score.key: job.metric(key)) for score in shown_scores(jobs)]  # type: ignore[misc]
    columns.append((SIZE, lambda job: job.parameters()))
    return columns


def _cell(value: Any, header: str) -> str:
    if value is None:
        return "-"
    if header == SIZE:
        return f"{value / 1e6:.2f} M" if value >= 1e4 else f"{value:.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def same_as(job: Job, jobs: list[Job], columns: list[Column]) -> str:
    """The earlier job with the same training, by the choices that differ: "= head=76"; "" for none."""
    if not job.shared_with:
        return ""
    first = next(other for other in jobs if other.name == job.shared_with)
    differs = [f"{name}={read(first)}" for name, read in columns if read(first) != read(job)]
    return f"= {', '.join(differs) or 'an equal job'}"


def _where(job: Job, same: str, brief: bool) -> str:
    """The last column: the run, or why there is none; `brief` leaves out the obvious folder."""
    if same:
        return same if brief else f"= {job.run}"
    if job.state == "done":
        return "" if brief else job.run
    return f"{job.state}: {job.reason}" if job.reason and not brief else job.state


def _broken(header: str, width: int = 9) -> str:
    """A long header in lines: "pitted_surface" -> "pitted_\\nsurface"."""
    lines = [""]
    for part in re.findall(r"[^_\s-]+[_\s-]?|.", header):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def cells(jobs: list[Job], brief: bool = False) -> list[list[str]]:
    """Header and lines as strings; choices with several seeds get a line `mean ± sd (n)`, sd the sample standard
    deviation. When brief, per-class scores show their mean alone, and a line fits into a terminal."""
    choices, numbers = choice_columns(jobs), _number_columns(jobs)
    table = [[*(name for name, _ in choices), *(name for name, _ in numbers), "" if brief else "run"]]
    for job in jobs:
        values = [str(read(job)) for _, read in choices]
        where = _where(job, same_as(job, jobs, choices), brief)
        table.append([*values, *(_cell(read(job), name) for name, read in numbers), where])
    return table + _seed_cells(jobs, choices, numbers, brief)


def _over_seeds(values: list[float], name: str, with_spread: bool) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if with_spread else ""
    return _cell(float(statistics.fmean(values)), name) + spread


def _seed_cells(jobs: list[Job], choices: list[Column], numbers: list[Column], brief: bool) -> list[list[str]]:
    spreading = {score.title for score in shown_scores(jobs)} if brief else {name for name, _ in numbers} - {SIZE}
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
            line.append(_over_seeds(values, name, name in spreading) if len(values) == len(members) else "-")
        lines.append([*line, f"{len(members)} seeds"])
    return lines


def _numeric(jobs: list[Job]) -> list[bool]:
    """Which columns of `cells` hold numbers."""
    return [False] * len(choice_columns(jobs)) + [True] * len(_number_columns(jobs)) + [False]


def to_text(jobs: list[Job]) -> str:
    """For a terminal: long class names are broken, and only an unfinished or shared run is named."""
    header, *lines = cells(jobs, brief=True)
    left = len(choice_columns(jobs))
    return writer.to_text([*header[:left], *map(_broken, header[left:])], lines, _numeric(jobs))


def to_markdown(jobs: list[Job]) -> str:
    """A Markdown table, with the failed jobs named under it."""
    header, *lines = cells(jobs)
    notes = failures([job for job in jobs if job.state == "failed"])
    parts = [writer.to_markdown(header, lines, _numeric(jobs)), "", *(f"- {writer.as_text(note)}" for note in notes)]
    return "\n".join(parts).rstrip() + "\n"


def to_csv(jobs: list[Job]) -> str:
    """One line per job at full precision; its state and the reason of a failure too."""
    choices, numbers = choice_columns(jobs), _number_columns(jobs)
    if all(name != "seed" for name, _ in choices):
        choices.append(("seed", lambda job: job.seed))
    columns = [*choices, *numbers]
    header = [*(name for name, _ in columns), "state", "run", "shared_with", "reason"]
    lines = [[*(read(job) for _, read in columns), job.state, job.run, job.shared_with, job.reason] for job in jobs]
    return writer.to_csv([header, *lines])


def write_tables(study_path: Path, jobs: list[Job]) -> None:
    """table.md and table.csv in the folder of the study."""
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
