"""One job of a study and what became of it, read from the files in the study's folder. No torch here."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightdet.config.names import counts
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.runs.folder import RunFolder


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

    @property
    def retriable(self) -> bool:
        """Whether its run lies there and could be trained again, or on."""
        return bool(self.run) and not self.settled and self.state not in ("running", "missing")

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
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # JSON knows whole numbers of any length
        return None
    return number if math.isfinite(number) else None


def read_rows(study_path: Path) -> list[Row]:
    """Every row asked for in a study, in the order in which its sweeps listed them, the first sweep first.

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
        row.state, row.reason = "missing", f"no status.json in {folder.path}; its sweep's command trains it anew"
        return
    row.state = str(status.get("state", "queued"))
    row.reason = str(status.get("reason") or "")
    row.traceback = str(folder.traceback_path) if status.get("traceback") else ""  # where the study lies now
    if row.state == "running":
        holder = folder.holder()
        row.state, row.reason = ("killed", "") if holder is None else ("running", f"pid {holder}")
    if row.state == "done":
        row.results = folder.read_results()
        if not row.results:
            row.state, row.reason = "unreadable", f"{folder.results_path}: no results in it, though the run is done"
