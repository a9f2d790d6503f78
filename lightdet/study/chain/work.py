"""Carries a chain out: one step after the other, each with all seeds; then files, timings and the table. No torch here.

The runs are the only state: what is done is not trained again, and what was killed goes on from its checkpoint.
"""

from collections.abc import Sequence

from hydra.utils import instantiate

from lightdet.config.judge import missing_folder
from lightdet.config.trust import composed_here
from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown
from lightdet.runs.commands import add_command
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.runs.names import study_name
from lightdet.runs.registration import named, register
from lightdet.runs.table import write_tables
from lightdet.study.chain.lessons import lessons_of
from lightdet.study.chain.plan import Plan, Step
from lightdet.study.launcher.contract import Launcher
from lightdet.study.sweep import report_undone, train_missing


def work(plan: Plan, words: Sequence[str], train: str) -> int:
    """Exit code: 0, or 1 where a training is not done or the wish is not reached; one line then says which."""
    if line := missing_folder(plan.base()):
        raise LightdetError(line)
    launcher: Launcher = instantiate(plan.launcher())
    lessons: list[str] = []
    if plan.teachers:
        print("lightdet: looking for what the teacher can teach", flush=True)
        lessons = lessons_of(plan.run.path, plan.teachers, plan.study_path, plan.trust_modules)
    add_command(plan.study_path, list(words))
    done: dict[str, list[RunFolder]] = {}
    for number, step in enumerate(plan.steps):
        print(f"\nlightdet: {_told(plan, step, lessons)}", flush=True)
        starts = done[step.start] if step.start else [plan.run] * len(plan.seeds)
        folders = _trained(plan, step, number * len(plan.seeds), starts, lessons, launcher, train)
        if folders is None:
            return 1
        done[step.name] = folders
    from lightdet.study.chain.finish import finish

    return finish(plan, done)


def _trained(
    plan: Plan,
    step: Step,
    number: int,
    starts: Sequence[RunFolder],
    lessons: Sequence[str],
    launcher: Launcher,
    train: str,
) -> list[RunFolder] | None:
    """The finished runs of a step, one for each seed; None where one is not done, which is told."""
    seeds = list(zip(plan.seeds, starts, strict=True))
    requests = [plan.request(step, seed, number + at, start, lessons) for at, (seed, start) in enumerate(seeds)]
    requests = named(plan.study_path, requests)
    name = study_name(plan.study_path.name)
    folders = [folder for folder in register(plan.study_path.parent, name, requests) if folder is not None]
    try:
        with composed_here(text for request in requests for text in request.needs_word):
            train_missing(folders, launcher, train, stop_on_error=False, retry=True)
    finally:
        jobs = read_jobs(plan.study_path)
        write_tables(plan.study_path, jobs)
    ours = [job for job in jobs if job.name in {request.name for request in requests}]
    if report_undone(ours, plan.study_path):
        reason = next((job.reason for job in ours if job.state != "done" and job.reason), "a training is not done")
        print(f"lightdet: not reached: {plan.wish}; {step.name}: {shown(reason)}", flush=True)
        return None
    if any(not folder.is_done() for folder in folders):  # pruned by a search, or deleted meanwhile
        raise LightdetError(f"{plan.study_path}: {step.name} has a run without results; give the command again")
    return folders


def _told(plan: Plan, step: Step, lessons: Sequence[str]) -> str:
    taught = f"taught by {', '.join(lessons)}" if step.taught and lessons else "without a teacher"
    seeds = ", ".join(map(str, plan.seeds))
    return f"{step.name}: {step.of_all} left, {taught}, {plan.epochs} epochs, seed{'s' * (len(plan.seeds) > 1)} {seeds}"
