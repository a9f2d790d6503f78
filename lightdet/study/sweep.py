"""A sweep: every job is composed and registered, then a launcher trains the missing runs. No torch here.

So jobs with the same training are known before the first one begins, and no failed training prevents the composition of
other jobs.
"""

from collections.abc import Sequence
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from lightdet.config.compose import compose_job, compose_sweep
from lightdet.config.judge import judge, missing_folder
from lightdet.config.trust import composed_here
from lightdet.config.words import with_full_names
from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown
from lightdet.engine.work import TRAINING
from lightdet.logger.wandb_sweep import answer_agent
from lightdet.runs.commands import add_command
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import Job, read_jobs
from lightdet.runs.names import study_name, sweep_slug
from lightdet.runs.registration import JobRequest, named, register, request_job
from lightdet.runs.scores import check_monitor
from lightdet.runs.table import failures, to_text, write_tables
from lightdet.study.launcher.contract import Launcher
from lightdet.study.launcher.processes import Processes
from lightdet.study.single import require_data

ON_ERROR = ("continue", "stop")


def sweep_words(words: Sequence[str], config_dir: Path | None = None, train: str = TRAINING) -> int:
    """Registers a job for every combination of values, trains the missing runs, prints and saves the table.

    `config_dir` holds further options, `train` names the training as module:function. Exit code 0, or 1 when a job is
    not done. Raises LightdetError for invalid overrides, before a job is registered.
    """
    words = with_full_names(words)
    cfg, requests, missing = _requests(words, config_dir)
    if cfg.study.on_error not in ON_ERROR:
        raise LightdetError(f"study.on_error={cfg.study.on_error}: one of {', '.join(ON_ERROR)}")
    launcher: Launcher = instantiate(cfg.launcher)
    # without `study=NAME`, the same words find the same study
    study = study_name(cfg.study.name or sweep_slug(words))
    study_path = Path(cfg.runs_dir) / study
    requests = named(study_path, requests)
    if isinstance(launcher, Processes):  # other launchers train where this machine's folders may not be
        require_data(missing, study_path)
    folders = register(Path(cfg.runs_dir), study, requests)
    add_command(study_path, [word for word in words if not word.startswith("hydra.")])
    names = {request.name for request in requests}
    for folder in trainings(folders):
        if folder.is_done():
            answer_agent(cfg, folder)
    try:
        with composed_here(text for request in requests for text in request.needs_word):
            train_missing(folders, launcher, train, cfg.study.on_error == "stop", cfg.study.retry)
    finally:
        jobs = read_jobs(study_path)
        write_tables(study_path, jobs)
    print(f"\n{to_text(jobs)}\n\nlightdet: {study_path}/table.md and table.csv hold this table", flush=True)
    return report_undone([job for job in jobs if job.name in names], study_path)


def _requests(words: list[str], config_dir: Path | None) -> tuple[DictConfig, list[JobRequest], dict[str, str]]:
    """The configuration of the first job, whose launcher and study settings hold for all; the request of each job; and
    by fingerprint a line about a dataset that is not on this machine."""
    jobs = compose_sweep(words, config_dir)
    print(f"lightdet: composing {len(jobs)} jobs from {' '.join(words)}", flush=True)
    first = compose_job(jobs[0], config_dir)
    requests, missing = [], {}
    for number, job in enumerate(jobs):
        cfg = compose_job(job, config_dir) if number else first
        judge(cfg, job)
        check_monitor(cfg)
        requests.append(request_job(cfg, list(cfg.hydra.overrides.task), number))
        if line := missing_folder(cfg):
            missing[requests[-1].fingerprint] = line
    return first, requests, missing


def trainings(folders: Sequence[RunFolder | None]) -> list[RunFolder]:
    """Each folder once, in order; jobs may share one, or have none."""
    return list({folder.path: folder for folder in folders if folder is not None}.values())


def train_missing(
    folders: Sequence[RunFolder | None], launcher: Launcher, train: str, stop_on_error: bool, retry: bool
) -> None:
    """Has the launcher train each run once that is not done; a failed one only if `retry`."""
    runs = trainings(folders)
    undone = [folder for folder in runs if not folder.is_done()]
    missing = [folder for folder in undone if retry or folder.read_status().get("state") != "failed"]
    done, failed = len(runs) - len(undone), len(undone) - len(missing)
    left = f", {failed} failed earlier (study.retry=true trains them again)" if failed else ""
    print(
        f"lightdet: {len(folders)} jobs, {len(runs)} trainings: {done} done, {len(missing)} to train{left}", flush=True
    )
    launcher.run(missing, train, stop_on_error)


def report_undone(jobs: list[Job], study_path: Path) -> int:
    """Prints the jobs that are not settled and how to train them again; returns the exit code, 0 when there is none."""
    undone = [job for job in jobs if not job.settled]
    if undone:
        print("\n" + "\n".join(map(shown, failures(undone))), flush=True)
    if any(job.retriable for job in undone):
        print(f"lightdet: `lightdet study {study_path} retry` trains them again", flush=True)
    return 1 if undone else 0
