"""The command `lightdet train`: Hydra composes the jobs, the study keeps them, a launcher trains what is missing.

Hydra's own launcher only collects what is asked for. So every row of a sweep is known and written down before the first
training begins, equal rows are found, and no training can take the composition of the others along. No torch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig

from lightdet.config.ineffective import refuse_alone, refuse_ineffective
from lightdet.core.errors import LightdetError
from lightdet.engine.work import TRAINING, work
from lightdet.logger.wandb_sweep import answer_agent
from lightdet.runs.commands import add_command
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import Row, read_rows
from lightdet.runs.names import study_name, sweep_slug
from lightdet.runs.registration import JobRequest, ask, register
from lightdet.runs.table import failures, to_text, write_tables
from lightdet.study.launcher.contract import Launcher

ON_ERROR = ("continue", "stop")


@dataclass(slots=True)
class Sweep:
    """What one `-m` command asks for."""

    words: list[str]  # the command's overrides
    study: str
    settings: DictConfig | None = None  # the configuration of the first job: it says where and how
    asked: list[JobRequest] = field(default_factory=list)


_collecting: list[Sweep] = []  # the sweep that Hydra is composing in this process


class Collect(Callback):
    """Hydra callback: names the study of a sweep before its first job is composed."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Without `study=...`, the same words on the command line find the same study."""
        words = list(config.hydra.overrides.task)
        _collecting[:] = [Sweep(words, study_name(config.study.name or sweep_slug(words)))]

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra writes a copy of what each run's request says."""
        Path(config.hydra.sweep.dir, "multirun.yaml").unlink(missing_ok=True)


def collected() -> Sweep | None:
    """The sweep that Hydra has composed in this process, once; None when there was none. Raises LightdetError for one
    without a single job, which Hydra takes for a success."""
    if not _collecting:
        return None
    sweep = _collecting.pop()
    if not sweep.asked:
        raise LightdetError(f"{' '.join(sweep.words)}: no training comes of it; a glob or a range in it is empty")
    return sweep


def job(cfg: DictConfig, train: str = TRAINING) -> dict[str, Any]:
    """What Hydra calls for every job: a single run is trained here and now, one of a sweep is only noted.

    Raises what a single training raises, and LightdetError for an override without effect.
    """
    hydra_config = HydraConfig.get()
    overrides = list(hydra_config.overrides.task)
    if hydra_config.mode == RunMode.MULTIRUN:
        (sweep,) = _collecting
        sweep.settings = sweep.settings or cfg
        sweep.asked.append(ask(cfg, overrides, int(hydra_config.job.num)))
        return {}
    _collecting.clear()  # of a sweep of this process that was refused
    refuse_alone(overrides)
    refuse_ineffective(overrides)
    asked = ask(cfg, overrides)
    if asked.trouble:
        raise LightdetError(asked.trouble)
    (folder,) = register(Path(cfg.runs_dir), study_name(cfg.study.name or "single"), [asked])
    assert folder is not None
    if folder.is_done(asked.identity):
        print(f"lightdet: this run is done already, in {folder.path}", flush=True)
        print("lightdet: photos or labels changed since are not looked at; study=NAME trains anew", flush=True)
        answer_agent(cfg, folder)
        return folder.read_results()
    return work(folder, train)


def run_sweep(sweep: Sweep, train: str = TRAINING) -> int:
    """Register the rows, train what is missing, print and save the table; exit code 0, or 1 when a row is not done."""
    cfg = sweep.settings
    assert cfg is not None
    if cfg.study.on_error not in ON_ERROR:
        raise LightdetError(f"study.on_error={cfg.study.on_error}: one of {', '.join(ON_ERROR)}")
    launcher: Launcher = instantiate(cfg.launcher)
    study_path = Path(cfg.runs_dir) / sweep.study
    folders = register(Path(cfg.runs_dir), sweep.study, sweep.asked)
    add_command(study_path, sweep.words)
    names = {asked.name for asked in sweep.asked}
    for folder in trainings(folders):
        if folder.is_done():
            answer_agent(cfg, folder)
    try:
        train_missing(folders, launcher, train, cfg.study.on_error == "stop", cfg.study.retry)
    finally:
        rows = read_rows(study_path)
        write_tables(study_path, rows)
    print(f"\n{to_text(rows)}\n\nlightdet: {study_path}/table.md and table.csv hold this table", flush=True)
    return tell_undone([row for row in rows if row.name in names], study_path)


def trainings(folders: Sequence[RunFolder | None]) -> list[RunFolder]:
    """Each folder once, in order; rows may share one, or have none."""
    return list({folder.path: folder for folder in folders if folder is not None}.values())


def train_missing(
    folders: Sequence[RunFolder | None], launcher: Launcher, train: str, stop_on_error: bool, retry: bool
) -> None:
    """Have the launcher train each run once that is not done; a failed one only if `retry`."""
    runs = trainings(folders)
    undone = [folder for folder in runs if not folder.is_done()]
    missing = [folder for folder in undone if retry or folder.read_status().get("state") != "failed"]
    done, failed = len(runs) - len(undone), len(undone) - len(missing)
    left = f", {failed} failed earlier (study.retry=true trains them again)" if failed else ""
    rows = len(folders)
    print(f"lightdet: {rows} rows, {len(runs)} trainings: {done} done, {len(missing)} to train{left}", flush=True)
    launcher.run(missing, train, stop_on_error)


def tell_undone(rows: list[Row], study_path: Path) -> int:
    """Name the rows that are not settled, and how to go on; the exit code: 0 when there is none."""
    undone = [row for row in rows if not row.settled]
    if undone:
        print("\n" + "\n".join(failures(undone)), flush=True)
    if any(row.retriable for row in undone):
        print(f"lightdet: `lightdet study {study_path} retry` trains them again", flush=True)
    return 1 if undone else 0
