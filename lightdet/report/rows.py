"""A study from its files: one row per set of choices, one job per seed, each file read once. No torch here."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lightdet.config.moved import with_current_names
from lightdet.core.errors import LightdetError
from lightdet.core.safe_yaml import load_yaml
from lightdet.core.score import Score
from lightdet.core.shown import shown
from lightdet.draw.curves import read_columns
from lightdet.metric.detection_scores import DETECTION_SCORES
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import Job, inside, read_jobs
from lightdet.runs.table import choice_columns, distinct_choices

Points = tuple[list[float], list[float]]  # epochs and values
LOSS = "loss"


@dataclass(slots=True)
class LoadedJob(Job):
    """One seed of a row, with what the files of its run hold."""

    folder: RunFolder | None = None
    config: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Points] = field(default_factory=dict)  # the declared scores by title, and the loss, over epochs
    notes: list[str] = field(default_factory=list)  # files that could not be read

    @property
    def done(self) -> bool:
        return self.state == "done"

    @property
    def epochs(self) -> int:
        """How many epochs are trained."""
        reported = inside(self.results, "epochs")
        last = max((int(points[0][-1]) for points in self.curves.values()), default=0)
        return reported if isinstance(reported, int) else last

    @property
    def max_epochs(self) -> int | None:
        value = inside(self.config, "trainer", "max_epochs")
        return value if isinstance(value, int) else None

    @property
    def image_size(self) -> str:
        """Side of the square input, px, as text, or "height x width"."""
        return sides(inside(self.config, "image_size") or self.options.get("image_size", "-"))

    def status(self) -> str:
        """Its state in words, such as "finished, 60 epochs" or "failed after 3 of 60 epochs: loss is nan"."""
        state, planned = self.state, self.max_epochs
        trained = f"{self.epochs} of {planned or '?'} epochs"
        if state == "done":
            whole = f"finished, {self.epochs} epoch{'' if self.epochs == 1 else 's'}"
            return whole if planned in (None, self.epochs) else f"finished after {trained}"
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
    scores: tuple[Score, ...] = DETECTION_SCORES  # of the study's task

    @property
    def label(self) -> str:
        """Its choices without those that its model does not use."""
        return shown(" ".join(f"{key}={value}" for key, value in self.choices.items() if value != "-")) or "default"

    @property
    def finished(self) -> list[LoadedJob]:
        return [job for job in self.jobs if job.done]

    def over_seeds(self, read: Callable[[Job], float | None]) -> Value | None:
        """A number over the finished seeds; None where no seed has it."""
        values = [value for job in self.finished if (value := read(job)) is not None]
        if not values:
            return None
        spread = statistics.stdev(values) if len(values) > 1 else None
        return Value(statistics.fmean(values), spread, len(values), min(values), max(values))

    def value(self, score: Score) -> Value | None:
        """A score of the validation split over the finished seeds."""
        return self.over_seeds(lambda job: job.metric(score.key))

    def cost(self, name: str) -> float | None:
        """A number of the network, which the seeds share."""
        return next((value for job in self.finished if (value := job.cost(name)) is not None), None)

    def seeds(self) -> str:
        """The number of seeds behind the means, in words."""
        count = len(self.finished)
        if count == 1:
            return "one seed, no spread"
        return f"{count} seeds" if count else "none finished"

    def words(self, read: Callable[[LoadedJob], Any]) -> str:
        """A value of every seed, each different one once."""
        return ", ".join(dict.fromkeys(str(read(job)) for job in self.jobs))

    def status(self) -> str:
        """The state of all seeds in words, equal ones together."""
        groups: dict[str, list[str]] = {}
        for job in self.jobs:
            groups.setdefault(job.status(), []).append(job.seed)
        if len(groups) == 1:
            return next(iter(groups))
        return "; ".join(f"seed {', '.join(seeds)}: {words}" for words, seeds in groups.items())


def read_study(study_path: Path) -> list[Row]:
    """The rows in the order of the sweep, those of which nothing can be read last.

    Raises LightdetError for a folder that is no study, and for several tasks.
    """
    if not study_path.is_dir():
        raise LightdetError(f"{study_path}: no such folder; name the folder of a study, runs/<study>")
    jobs = read_jobs(study_path)
    if not jobs:
        raise LightdetError(f"{study_path}: no study here (no jobs/*.json); name a folder runs/<study>")
    scores = _scores(jobs, study_path)
    columns = choice_columns(jobs)
    runs: dict[str, LoadedJob] = {}
    rows: dict[tuple[tuple[str, str], ...], Row] = {}
    answered = set()
    for job in jobs:
        choices = distinct_choices(job, columns)
        if job.damaged and not job.choices:
            choices = {"job": job.name}
        key = tuple(choices.items())
        row = rows.setdefault(key, Row(0, choices, job.options, [], scores))
        if not job.run or (key, job.run, job.seed) not in answered:  # a search may come to the same choices twice
            row.jobs.append(_load(job, study_path, runs, scores))
            answered.add((key, job.run, job.seed))
    ordered = sorted(rows.values(), key=lambda row: all(job.damaged for job in row.jobs))
    return [replace(row, number=number) for number, row in enumerate(ordered, start=1)]


def _scores(jobs: list[Job], study_path: Path) -> tuple[Score, ...]:
    """What the jobs of one task declare, each score once; that of detection while no training has begun."""
    tasks = Counter(job.task for job in jobs if job.task)
    if len(tasks) > 1:
        counts = ", ".join(f"{task} ({count} jobs)" for task, count in tasks.items())
        raise LightdetError(
            f"{study_path}: a report compares jobs of one task, here are {counts}; use a study for each"
        )
    declared = {score.key: score for job in jobs for score in job.scores}  # one key, one column
    return tuple(declared.values()) or DETECTION_SCORES


def _load(job: Job, study_path: Path, runs: dict[str, LoadedJob], scores: Sequence[Score]) -> LoadedJob:
    """The job with the files of its run; jobs that share a run read them once."""
    loaded = LoadedJob(**{each.name: getattr(job, each.name) for each in fields(job)})
    if not job.run:
        return loaded
    first = runs.setdefault(job.run, loaded)
    if first is loaded:
        folder = loaded.folder = RunFolder(study_path / job.run)
        loaded.config = _read(lambda: _mapping(folder.config_path), loaded.notes) or {}
        loaded.curves = _read(lambda: _curves(folder.metrics_csv, scores), loaded.notes) or {}
        return loaded
    return replace(loaded, folder=first.folder, config=first.config, curves=first.curves, notes=first.notes)


def _read(read: Callable[[], Any], notes: list[str]) -> Any:
    try:
        return read()
    except (LightdetError, OSError, ValueError) as error:
        notes.append(" ".join(str(error).split())[:300])
        return None


def _mapping(path: Path) -> dict[str, Any]:
    """A YAML file that holds names and values; {} where there is none."""
    if not path.exists():
        return {}
    content = load_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("model", {}), dict):
        raise LightdetError(f"{path}: not the configuration of a run")
    return with_current_names(content)


def _curves(metrics_csv: Path, scores: Sequence[Score]) -> dict[str, Points]:
    """The scores by title and the total loss over epochs; an epoch without validation has no score and no point."""
    if not metrics_csv.exists():
        return {}
    columns = read_columns(metrics_csv)
    wanted = {score.log_name: score.title for score in scores if not score.per_class} | {"train/loss": LOSS}
    return {title: columns[name] for name, title in wanted.items() if name in columns}


def whole(rows: Sequence[Row]) -> list[Score]:
    """The scores of the whole set, as the study's task declares them."""
    return [score for score in rows[0].scores if not score.per_class]


def all_classes(rows: Iterable[Row]) -> list[str]:
    """The classes with per-class scores in any row, in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for job in row.finished for name in job.classes()))


def sides(image_size: Any) -> str:
    """224 -> "224", [64, 96] -> "64 x 96"; another value of a damaged file as it is."""
    return " x ".join(map(str, image_size)) if isinstance(image_size, list) else str(image_size)
