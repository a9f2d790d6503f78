"""One job of a study and its state, read from the files in the folder of the study. No torch here."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightdet.config.names import counts
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.core.paths import is_inside
from lightdet.core.score import Score
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import FILE_NAME, scores_of, task_of
from lightdet.runs.status import UNREADABLE
from lightdet.runs.study_files import job_files, run_of_job

MOST_WORDS = 1000  # of a job
MOST_CLASSES = 2000  # of a run


@dataclass(slots=True)
class Job:
    """A job with the state and the results of its run."""

    name: str
    choices: dict[str, str]  # the overrides of the command line without the seed
    options: dict[str, str]  # every chosen option and plain value, defaults included
    seed: str
    state: str  # one of STATES; missing or unreadable when its files are
    run: str  # folder of the training, relative to the study
    shared_with: str = ""  # name of the first job with the same run
    reason: str = ""
    traceback: str = ""
    results: dict[str, Any] = field(default_factory=dict)
    task: str = ""  # of its model; "" while its training has not begun
    scores: tuple[Score, ...] = ()  # that its metric declares; none while its training has not begun

    @property
    def settled(self) -> bool:
        """Whether it ended as intended: trained to its end, or pruned by a search."""
        return self.state in ("done", "pruned")

    @property
    def retriable(self) -> bool:
        """Whether its run exists and can be trained again, or further."""
        return bool(self.run) and not self.settled and self.state not in ("running", "missing")

    @property
    def damaged(self) -> bool:
        """Whether its files are missing or unreadable, so that nothing is known of its training."""
        return self.state in (UNREADABLE, "missing")

    def metric(self, key: str) -> float | None:
        """A score of the validation split by its key."""
        return finite(inside(self.results, "metrics", key))

    def class_metric(self, key: str, class_name: str) -> float | None:
        """A per-class score of the validation split."""
        return finite(inside(self.results, "metrics", "per_class", class_name, key))

    def test_metric(self, key: str) -> float | None:
        """A score of the test split, where the dataset has one."""
        return finite(inside(self.results, "test", "metrics", key))

    def own_metric(self, key: str) -> float | None:
        """A score as the evaluator of another framework measured it, for a model trained there."""
        return finite(inside(self.results, "own_evaluator", key))

    def cost(self, name: str) -> float | None:
        """parameters, macs, gflops or image_size (px) as measured when the training began."""
        return finite(inside(self.results, "footprint", name))

    def parameters(self) -> int | None:
        """Number of weights of the network."""
        value = self.cost("parameters")
        return None if value is None else round(value)

    def classes(self) -> list[str]:
        """The classes with per-class scores."""
        per_class = inside(self.results, "metrics", "per_class")
        return list(per_class) if isinstance(per_class, dict) else []


def inside(tree: Any, *keys: str) -> Any:
    """The value under a path of keys; None where the path ends early, also in a damaged file."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def finite(value: Any) -> float | None:
    """A value of a file as a finite number; None for anything else."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # JSON knows whole numbers of any length
        return None
    return number if math.isfinite(number) else None


def read_jobs(study_path: Path) -> list[Job]:
    """Every job of a study, in the order of their numbers: as its sweeps list them, the first sweep first.

    A job whose files are missing or broken has that as its state and reason; the others are read all the same, and a
    job whose own file is broken comes last, since its number is not known. Raises LightdetError where the folder of the
    jobs is a link out of the study.
    """
    named = [(_number_of(request), _read_job(name, request, study_path)) for name, request in _requests(study_path)]
    jobs = [job for _, job in sorted(named, key=lambda pair: (pair[0], pair[1].name))]
    first: dict[str, str] = {}
    for job in jobs:
        if job.run:
            job.shared_with = "" if first.setdefault(job.run, job.name) == job.name else first[job.run]
    return jobs


def _requests(study_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in job_files(study_path):
        try:
            yield path.stem, read_request(path, study_path)
        except (LightdetError, OSError) as error:
            yield path.stem, {"state": UNREADABLE, "reason": str(error)}


def read_request(path: Path, study_path: Path) -> dict[str, Any]:
    """The file of a job. Raises LightdetError for one that is broken, or a link out of the study."""
    if not is_inside(path, study_path):
        raise LightdetError(f"{path}: a link that leads out of the study; remove it")
    request = read_json(path)
    words, choices = request.get("overrides", []), request.get("choices", {})
    if not isinstance(words, list) or not isinstance(choices, dict):
        raise LightdetError(f"{path}: not the request of a job; remove it, and give the command of its sweep again")
    if max(len(words), len(choices)) > MOST_WORDS:
        raise LightdetError(f"{path}: more than {MOST_WORDS} overrides or choices; remove it")
    return request


def _number_of(request: dict[str, Any]) -> float:
    number = finite(request.get("number"))
    return math.inf if number is None else number


def _read_job(name: str, request: dict[str, Any], study_path: Path) -> Job:
    words = [str(word).lstrip("+").partition("=") for word in request.get("overrides", [])]
    said = request.get("state", "queued")
    job = Job(
        name=name,
        choices={key: value for key, _, value in words if counts(key)},
        options={key: str(value) for key, value in request.get("choices", {}).items()},
        seed=str(request.get("seed")),
        state=said if said in ("failed", UNREADABLE) else "queued",
        run="",
        reason=str(request.get("reason") or ""),
    )
    if request.get("run"):
        try:
            folder = run_of_job(study_path, request["run"], name)
            job.run = folder.path.relative_to(study_path).as_posix()
            _read_run(job, folder)
        except (LightdetError, OSError) as error:
            job.state, job.reason = UNREADABLE, str(error)
    return job


def _read_run(job: Job, folder: RunFolder) -> None:
    """Fills in what the files of the run hold."""
    status = folder.read_status()
    if not status:
        job.state, job.reason = "missing", f"no status.json in {folder.path}; the command of its sweep trains it again"
        return
    job.state = str(status.get("state", "queued"))
    job.reason = str(status.get("reason") or "")
    job.traceback = str(folder.traceback_path) if status.get("traceback") else ""  # where the study lies now
    if job.state == "running":
        holder = folder.holder()
        job.state, job.reason = ("killed", "") if holder is None else ("running", f"pid {holder}")
    if job.state == "done" or (folder.path / FILE_NAME).exists():  # older runs have no such file
        job.task, job.scores = task_of(folder), scores_of(folder)
    if job.state == "done":
        job.results = folder.read_results()
        if len(job.classes()) > MOST_CLASSES:
            raise LightdetError(f"{folder.results_path}: more than {MOST_CLASSES} classes; no table shows them")
        if not job.results:
            job.state, job.reason = UNREADABLE, f"{folder.results_path}: no results in it, though the run is done"
