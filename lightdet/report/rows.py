"""A study as its files tell it: one row per set of choices, one job per seed, each file read once. No torch here."""

import csv
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from lightdet.config.moved import with_current_names
from lightdet.core.errors import LightdetError
from lightdet.core.files import plain
from lightdet.draw.curves import VALIDATION, read_columns
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import Job, inside, read_jobs
from lightdet.runs.table import choice_columns, distinct_choices

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Points = tuple[list[float], list[float]]  # epochs and values
MEANS = {"mAP50": "map50", "mAP75": "map75", "mAP50-95": "map50_95"}
UNREADABLE = ("unreadable", "missing")


@dataclass(slots=True)
class LoadedJob(Job):
    """One seed of a row, with what the files of its run hold."""

    folder: RunFolder | None = None
    config: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Points] = field(default_factory=dict)  # mAP50, mAP75, mAP50-95 and loss over epochs
    notes: list[str] = field(default_factory=list)  # files that could not be read

    @property
    def done(self) -> bool:
        return self.state == "done"

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        told = inside(self.results, "epochs")
        last = max((int(points[0][-1]) for points in self.curves.values()), default=0)
        return told if isinstance(told, int) else last

    @property
    def asked_epochs(self) -> int | None:
        value = inside(self.config, "trainer", "max_epochs")
        return value if isinstance(value, int) else None

    @property
    def image_size(self) -> str:
        """Side of the square input, px, as text."""
        return str(inside(self.config, "image_size") or self.options.get("image_size", "-"))

    def status(self) -> str:
        """What became of it, such as "finished, 60 epochs" or "failed after 3 of 60 epochs: loss is nan"."""
        state, asked = self.state, self.asked_epochs
        trained = f"{self.epochs} of {asked or '?'} epochs"
        if state == "done":
            whole = f"finished, {self.epochs} epoch{'' if self.epochs == 1 else 's'}"
            return whole if asked in (None, self.epochs) else f"finished after {trained}"
        progress = f" after {trained}" if self.epochs else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{state}{progress}{reason}"


@dataclass(frozen=True, slots=True)
class Value:
    """A number over the seeds that have it: mean, sample standard deviation and range."""

    mean: float
    spread: float | None  # None for one seed
    seeds: int
    least: float
    most: float


@dataclass(slots=True)
class Row:
    """One set of choices, the seed apart."""

    number: int  # from 1, as in the tables
    choices: dict[str, str]  # in what the rows of the study differ
    options: dict[str, str]  # every chosen option and plain value
    jobs: list[LoadedJob]

    @property
    def label(self) -> str:
        """Its choices but for those that its model has no use for."""
        return " ".join(f"{key}={value}" for key, value in self.choices.items() if value != "-") or "default"

    @property
    def finished(self) -> list[LoadedJob]:
        return [job for job in self.jobs if job.done]

    def over_seeds(self, read: Callable[[Job], float | None]) -> Value | None:
        """A number of the finished seeds; None where no seed has it."""
        values = [value for job in self.finished if (value := read(job)) is not None]
        if not values:
            return None
        spread = statistics.stdev(values) if len(values) > 1 else None
        return Value(statistics.fmean(values), spread, len(values), min(values), max(values))

    def cost(self, name: str) -> float | None:
        """A number of the network, which the seeds share."""
        return next((value for job in self.finished if (value := job.cost(name)) is not None), None)

    def seeds(self) -> str:
        """How many seeds stand behind the means."""
        count = len(self.finished)
        if count == 1:
            return "one seed, no spread"
        return f"{count} seeds" if count else "none finished"

    def said(self, read: Callable[[LoadedJob], Any]) -> str:
        """One word per seed, each different one named once."""
        return ", ".join(dict.fromkeys(str(read(job)) for job in self.jobs))

    def status(self) -> str:
        """Of all seeds, those that say the same together."""
        groups: dict[str, list[str]] = {}
        for job in self.jobs:
            groups.setdefault(job.status(), []).append(job.seed)
        if len(groups) == 1:
            return next(iter(groups))
        return "; ".join(f"seed {', '.join(seeds)}: {words}" for words, seeds in groups.items())


def read_study(study_path: Path) -> list[Row]:
    """The rows in the order of the sweep. Raises LightdetError for a folder that is no study."""
    if not study_path.is_dir():
        raise LightdetError(f"{study_path}: no such folder; name the folder of a study, runs/<study>")
    jobs = read_jobs(study_path)
    if not jobs:
        raise LightdetError(f"{study_path}: no study here (no jobs/*.json); name a folder runs/<study>")
    columns = choice_columns(jobs)
    runs: dict[str, LoadedJob] = {}
    rows: dict[tuple[tuple[str, str], ...], Row] = {}
    for job in jobs:
        choices = distinct_choices(job, columns)
        if job.state in UNREADABLE and not job.choices:
            choices = {"job": job.name}
        row = rows.setdefault(tuple(choices.items()), Row(len(rows) + 1, choices, job.options, []))
        if not any(job.run and other.run == job.run and other.seed == job.seed for other in row.jobs):
            row.jobs.append(_load(job, study_path, runs))  # a search may come to the same choices twice
    return list(rows.values())


def _load(job: Job, study_path: Path, runs: dict[str, LoadedJob]) -> LoadedJob:
    """The job with the files of its run; jobs that share a run read them once."""
    loaded = LoadedJob(**{each.name: getattr(job, each.name) for each in fields(job)})
    if not job.run:
        return loaded
    first = runs.setdefault(job.run, loaded)
    if first is loaded:
        folder = loaded.folder = RunFolder(study_path / job.run)
        loaded.config = _read(lambda: _mapping(folder.config_path), loaded.notes) or {}
        loaded.curves = _read(lambda: _curves(folder.metrics_csv), loaded.notes) or {}
        return loaded
    return replace(loaded, folder=first.folder, config=first.config, curves=first.curves, notes=first.notes)


def _read(read: Callable[[], Any], notes: list[str]) -> Any:
    try:
        return read()
    except (LightdetError, OSError, ValueError, csv.Error, yaml.YAMLError) as error:
        notes.append(" ".join(str(error).split())[:300])
        return None


def _mapping(path: Path) -> dict[str, Any]:
    """A YAML file that holds names and values; {} where there is none."""
    if not path.exists():
        return {}
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    if not isinstance(content, dict) or not isinstance(content.get("model", {}), dict):
        raise LightdetError(f"{path}: not the configuration of a run")
    try:
        plain(content)
    except RecursionError:
        raise LightdetError(f"{path}: a part of it holds itself; not the configuration of a run") from None
    return with_current_names(content)


def _curves(metrics_csv: Path) -> dict[str, Points]:
    """mAP and total loss over epochs; epochs without a validation have no mAP and no point."""
    if not metrics_csv.exists():
        return {}
    columns = read_columns(metrics_csv)
    wanted = {**VALIDATION, "train/loss": "loss"}
    return {title: columns[name] for name, title in wanted.items() if name in columns}


def all_classes(rows: Iterable[Row]) -> list[str]:
    """The classes that any row was measured on, in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for job in row.finished for name in job.classes()))
