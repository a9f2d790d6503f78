"""Registers the jobs of a command and assigns each a run folder.

`runs_dir/<study>/jobs/<slug>__s<seed>.json` is a job, `runs_dir/<study>/<slug>/s<seed>/` is a run. The jobs of one
slug, which differ in the seed alone, are a row. Jobs whose resolved settings are equal share one run. The files are the
only state of a study, so the same command continues after a process has died. No torch here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.config.saved import read_config
from lightdet.config.trust import composed_here, needs_word
from lightdet.core.errors import LightdetError, one_line
from lightdet.core.files import write_json, write_text
from lightdet.core.reading import read_text
from lightdet.runs.commands import study_lock
from lightdet.runs.copies import runs_by_fingerprint
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_request
from lightdet.runs.names import chosen, run_name
from lightdet.runs.row_names import counted, row_slugs
from lightdet.runs.start_weights import bring_weights, settle_weights
from lightdet.runs.status import UNREADABLE
from lightdet.runs.study_files import job_files, jobs_folder, run_of_job
from lightdet.runs.teachers import settle_teachers


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job as a command requests it."""

    overrides: list[str]
    number: int  # position among the jobs of the command
    seed: Any
    slug: str  # folder name of its row; "": chosen when the job is registered
    fingerprint: str  # of the training; empty when the settings are incomplete
    choices: dict[str, Any]
    request: str  # the composed configuration as YAML, interpolations kept, which the training machine resolves
    trouble: str = ""  # why the settings are incomplete
    needs_word: tuple[str, ...] = ()  # what of the request is trusted because a person composed it

    @property
    def name(self) -> str:
        """Unique in a study, once the slug is known."""
        return f"{self.slug}__s{self.seed}"


def request_job(cfg: DictConfig, overrides: list[str], number: int = 0, name: str | None = None) -> JobRequest:
    """The request of a composed configuration; `trouble` names a mandatory value that is missing.

    `name` is the folder name of the row; None: the configuration's `name`, and where that is null, one made from the
    overrides.
    Raises LightdetError for a `name` that is no folder name.
    """
    slug = run_name(cfg.get("name")) if name is None else name
    bare = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    try:
        bare = settle_teachers(settle_weights(bare))
        of_training, choices, trouble = fingerprint(bare), chosen(cfg), ""
    except LightdetError as error:
        of_training, choices, trouble = "", {}, one_line(error)
    request, theirs = OmegaConf.to_yaml(bare), needs_word(bare)
    return JobRequest(overrides, number, cfg.seed, slug, of_training, choices, request, trouble, theirs)


def named(study_path: Path, requests: Sequence[JobRequest]) -> list[JobRequest]:
    """The requests of one command with the slugs that their rows have, or will get, in the study.

    A registered job starts from the weights that its run has, where those that the command names are gone.
    """
    return _named(study_path, requests, _read_registered(study_path))


def register(runs_dir: Path, study: str, requests: Sequence[JobRequest]) -> list[RunFolder | None]:
    """Writes the jobs, creates a folder for each new training, and returns the run folder of every job, in order.

    None is returned for a job without a run, because its settings are incomplete. A folder of another training is
    never changed. Unchanged job files are not written again. A registered job keeps its number, so that later commands
    do not replace the first row of a study, which is the baseline of reports.
    """
    study_path = runs_dir / study
    with study_lock(study_path):
        registered = _read_registered(study_path)
        runs = runs_by_fingerprint(study_path, registered)
        jobs = _named(study_path, requests, registered)
        folders: list[RunFolder | None] = []
        for job, number in zip(jobs, _numbers(jobs, registered), strict=True):
            folder = None
            if job.fingerprint:
                folder = runs.get(job.fingerprint) or _claim(study_path, study, job)
                runs[job.fingerprint] = folder
                if not folder.is_done():
                    _renew(folder, study, job)
            facts = _facts(study_path, job, folder, number)
            if registered.get(job.name) != facts:
                write_json(jobs_folder(study_path) / f"{job.name}.json", facts)
            folders.append(folder)
        return folders


def _named(
    study_path: Path, requests: Sequence[JobRequest], registered: Mapping[str, Mapping[str, Any]]
) -> list[JobRequest]:
    slugs = row_slugs([(counted(request.overrides), request.slug) for request in requests], registered)
    jobs = [replace(request, slug=slug) for request, slug in zip(requests, slugs, strict=True)]
    return [_with_weights_of_run(study_path, job, registered.get(job.name, {})) if job.trouble else job for job in jobs]


def _with_weights_of_run(study_path: Path, job: JobRequest, facts: Mapping[str, Any]) -> JobRequest:
    """The request with the weights of the job's run, where those that it names are gone; itself where it lacks
    something else, or has no run."""
    cfg = OmegaConf.create(job.request)
    assert isinstance(cfg, DictConfig)
    run = run_of_job(study_path, facts["run"], job.name) if facts.get("run") else None
    if not isinstance(cfg.get("weights"), str) or run is None or not run.request_path.is_file():
        return job
    with composed_here(job.needs_word):  # the same words composed the file
        kept = OmegaConf.select(read_config(run.request_path, sections=()), "weights")
    if not OmegaConf.is_dict(kept):
        return job
    cfg.weights = {name: str(kept.get(name)) for name in ("file", "sha256")}
    return replace(
        job, fingerprint=fingerprint(cfg), choices=facts.get("choices", {}), request=OmegaConf.to_yaml(cfg), trouble=""
    )


def _read_registered(study_path: Path) -> dict[str, dict[str, Any]]:
    """The job files of the study, by the name of the job; {} for a broken one, so that the others are registered."""
    registered = {}
    for path in job_files(study_path):
        try:
            registered[path.stem] = read_request(path, study_path)
        except (LightdetError, OSError):
            registered[path.stem] = {}
    return registered


def _numbers(requests: Sequence[JobRequest], registered: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """The number of each job in the study: the registered one, else its position in the command, else, where that is
    taken, one more than the highest. `registered`: the contents of the job files, by name."""
    numbers = {name: facts["number"] for name, facts in registered.items() if isinstance(facts.get("number"), int)}
    taken = set(numbers.values())
    for job in requests:
        taken.add(numbers.setdefault(job.name, job.number if job.number not in taken else max(taken) + 1))
    return [numbers[job.name] for job in requests]


def _claim(study_path: Path, study: str, job: JobRequest) -> RunFolder:
    """Creates the run folder of a job, with a name that no other training uses."""
    names = [job.slug, f"{job.slug}-{job.fingerprint[:6]}", f"{job.slug}-{job.fingerprint[:16]}"]
    folders = [run_of_job(study_path, f"{name}/s{job.seed}", job.name) for name in names]
    folder = next(folder for folder in folders if not folder.status_path.exists())
    write_text(folder.request_path, job.request)
    write_text(folder.overrides_path, OmegaConf.to_yaml(OmegaConf.create(job.overrides)))
    folder.write_status("queued", **_identity(study, folder, job))
    return folder


def _identity(study: str, folder: RunFolder, job: JobRequest) -> dict[str, Any]:
    """The facts of a status that say which training it is of."""
    return {
        "fingerprint": job.fingerprint,
        "study": study,
        "slug": folder.path.parent.name,
        "seed": job.seed,
        "choices": job.choices,
        "overrides": job.overrides,
    }


def _facts(study_path: Path, job: JobRequest, folder: RunFolder | None, number: int) -> dict[str, Any]:
    """The content of a job file."""
    facts: dict[str, Any] = {
        "overrides": job.overrides,
        "choices": job.choices,
        "seed": job.seed,
        "number": number,
    }
    if folder is None:
        return facts | {"state": "failed", "reason": job.trouble}
    return facts | {"fingerprint": job.fingerprint, "run": folder.path.relative_to(study_path).as_posix()}


def _renew(folder: RunFolder, study: str, job: JobRequest) -> None:
    """Updates the request of a run that is not done, restores a status that was damaged, and provides the weights that
    the run starts from."""
    status = folder.read_status()
    if status.get("state") == UNREADABLE and folder.holder() is None:
        folder.write_status("failed", **_identity(study, folder, job), reason=status["reason"])
    if not folder.request_path.is_file() or read_text(folder.request_path) != job.request:
        write_text(folder.request_path, job.request)
    settled = OmegaConf.create(job.request)
    assert isinstance(settled, DictConfig)
    bring_weights(settled, folder)
