"""One job of a study: find or make its run, train what is missing, note what happened; and the study around the jobs.

`runs_dir/<study>/<slug>/s<seed>/` is one training; `runs_dir/<study>/jobs/<slug>__s<seed>.json` is one row that was
asked for. Rows whose resolved settings are equal point to the same training. The files are the truth about a study:
a process that dies leaves nothing behind that the same command could not continue. No torch here.
"""

import os
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightdet.error import LightdetError
from lightdet.logger.wandb_sweep import answer_agent
from lightdet.report.table import Row, failures, read_rows, to_text, write_tables
from lightdet.run import RunFolder, fingerprint, locked, now, resolve, slug, unused, write_json, write_text

Train = Callable[[DictConfig, RunFolder], dict[str, Any]]
STUDY = "_LIGHTDET_STUDY"  # environment: the running sweep's study, for jobs in this process and in launched ones
SWEEP = "_LIGHTDET_SWEEP"  # environment: which sweep, so that it answers for its own failures only
_failed: list[Row] = []  # of the sweep that ended last in this process


def exit_code() -> int:
    """0, or 1 when a job of the sweep that just ended has failed."""
    return 1 if _failed else 0


def run_job(cfg: DictConfig, overrides: list[str], train: Train) -> dict[str, Any]:
    """Train what the config describes unless that is done already, and return its results.

    In a sweep a failing job is noted and {} returned, so that the other jobs go on; a run that another process is
    training is left to it. A single run raises what went wrong, and LightdetError for an override without effect.
    """
    job = Job(cfg, overrides)
    if not job.sweeping:
        refuse_ineffective(overrides)
        return job.run(train)
    try:
        return job.run(train)
    except Exception as error:
        job.note(state="failed", reason=one_line(error))
        print(f"lightdet: job {job.name} failed: {one_line(error)}", flush=True)
        return {}


class Job:
    """One row of a study."""

    def __init__(self, cfg: DictConfig, overrides: list[str]) -> None:
        self.cfg = cfg
        self.overrides = overrides
        hydra_config = HydraConfig.get() if HydraConfig.initialized() else None
        self.sweeping = hydra_config is not None and hydra_config.mode == RunMode.MULTIRUN
        self.number = int(hydra_config.job.num) if self.sweeping and hydra_config is not None else 0
        self.choices: dict[str, Any] = {}
        self.slug = slug(overrides)
        self.name = f"{self.slug}__s{cfg.seed}"
        self.study = study_name(cfg.study or os.environ.get(STUDY) or "single")
        self.study_path = Path(cfg.runs_dir) / self.study

    def run(self, train: Train) -> dict[str, Any]:
        """Skip, leave or train; returns the results."""
        identity = fingerprint(self.cfg)
        self.choices = chosen(self.cfg)
        folder = self.claim(identity)
        self.note(fingerprint=identity, run=folder.path.relative_to(self.study_path).as_posix())
        if folder.is_done(identity):
            print(f"lightdet: job {self.name} is done already, in {folder.path}", flush=True)
            answer_agent(self.cfg, folder)
            return folder.read_results()
        if self.sweeping and self.failed_in_this_sweep(folder):
            print(f"lightdet: job {self.name} shares the training that failed in {folder.path}", flush=True)
            return {}
        with folder.lock() as holder:
            if holder is None and folder.is_done(identity):  # by another sweep, just now
                return folder.read_results()
            if holder is None:
                return self.train(train, folder)
        message = f"{folder.path} is being trained by another process (pid {holder or 'unknown'})"
        if not self.sweeping:
            raise LightdetError(f"{message}; wait for it, or end it and give the same command again")
        print(f"lightdet: job {self.name} left alone: {message}", flush=True)
        return {}

    def failed_in_this_sweep(self, folder: RunFolder) -> bool:
        """Whether an earlier row of the same sweep has tried this training; the next sweep tries again."""
        status = folder.read_status()
        return status.get("state") == "failed" and status.get("sweep") == os.environ.get(SWEEP)

    def claim(self, identity: str) -> RunFolder:
        """The folder of this training in the study, made where there is none; never one of another training."""
        seed = f"s{self.cfg.seed}"
        names = [self.slug, f"{self.slug}-{identity[:6]}", f"{self.slug}-{identity[:16]}"]
        folders = [RunFolder(self.study_path / name / seed) for name in names]
        with locked(self.study_path / ".lock", wait=True):
            known = [*folders, *(RunFolder(path.parent) for path in sorted(self.study_path.glob("*/s*/status.json")))]
            for folder in known:
                if folder.read_status().get("fingerprint") == identity:
                    return folder
            free = next(folder for folder in folders if not folder.status_path.exists())
            free.write_status(
                "queued",
                fingerprint=identity,
                study=self.study,
                slug=free.path.parent.name,
                seed=self.cfg.seed,
                choices=self.choices,
                overrides=self.overrides,
            )
            return free

    def note(self, **facts: Any) -> None:
        """Write the row that was asked for."""
        row = {"overrides": self.overrides, "choices": self.choices, "seed": self.cfg.seed, "number": self.number}
        path = self.study_path / "jobs" / f"{self.name}.json"
        write_json(path, {**row, "sweep": os.environ.get(SWEEP), "asked": now(), **facts})

    def train(self, train: Train, folder: RunFolder) -> dict[str, Any]:
        """Train in a folder that is locked for us; `status.json` says done only after everything else is written."""
        write_text(folder.config_path, OmegaConf.to_yaml(OmegaConf.create(resolve(self.cfg))))
        write_text(folder.overrides_path, OmegaConf.to_yaml(OmegaConf.create(self.overrides)))
        folder.write_status(
            "running", pid=os.getpid(), host=socket.gethostname(), started=now(), sweep=os.environ.get(SWEEP)
        )
        print(f"lightdet: job {self.name} trains in {folder.path}", flush=True)
        try:
            results = train(self.cfg, folder)
            folder.write_results(results)
            folder.write_status("done", finished=now())
            return folder.read_results()
        except Exception as error:
            write_text(folder.traceback_path, traceback.format_exc())
            folder.write_status("failed", reason=one_line(error), traceback=str(folder.traceback_path))
            if not self.sweeping:
                raise
            print(f"lightdet: job {self.name} failed: {one_line(error)} (see {folder.traceback_path})", flush=True)
            return {}
        except BaseException:  # Ctrl-C, or Lightning's exit after it
            folder.write_status("killed", reason="interrupted")
            raise
        finally:
            close_trackers()


def close_trackers() -> None:
    """End what this training's trackers still have open, or the next job of this process would write into it."""
    trackers = sys.modules.get("lightdet.logger.run_logger")  # loaded with torch, by a training
    if trackers is not None:
        trackers.close_trackers()


def one_line(error: BaseException) -> str:
    """Why it failed, as one line of at most 300 characters; what a person can mend is said without the wrapping."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, LightdetError):
        cause = cause.__cause__ or cause.__context__
    error = cause or error
    text = " ".join(str(error).split()) or "no message"
    return (text if isinstance(error, LightdetError) else f"{type(error).__name__}: {text}")[:300]


def chosen(cfg: DictConfig) -> dict[str, Any]:
    """The chosen option of each group and the plain values at the top: {"attention": "cbam", "head": 76, ...}.

    A group that is chosen a second time inside another option keeps the place in its name ("attention@model..."), and
    a plain value that nothing takes up is "-", whatever it says.
    """
    names: dict[str, Any] = {}
    if HydraConfig.initialized():
        options = HydraConfig.get().runtime.choices
        names = {str(key): value for key, value in options.items() if not str(key).startswith("hydra/")}
    idle = unused(cfg)
    plain = {str(key): "-" if key in idle else cfg[key] for key in cfg if not OmegaConf.is_config(cfg[key])}
    return {**names, **{key: value for key, value in plain.items() if key not in ("study", "runs_dir", "num_classes")}}


def study_name(name: str) -> str:
    """The name, fit for a folder. Raises LightdetError for one that is not."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/-]*", name) or ".." in name or name.endswith("/"):
        raise LightdetError(f"study={name}: a study is a folder name made of letters, digits, '.', '_', '-' and '/'")
    return name


# ---------------------------------------------------------------- overrides without effect


def refuse_ineffective(overrides: list[str]) -> None:
    """Raise LightdetError for an override of this Hydra run that changes nothing."""
    if not HydraConfig.initialized() or not GlobalHydra.instance().is_initialized():
        return
    hydra_config = HydraConfig.get()
    hydra_overrides = list(hydra_config.overrides.hydra)
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None

    def compose(words: list[str]) -> DictConfig:
        return hydra.compose_config(hydra_config.job.config_name, words + hydra_overrides, RunMode.RUN, False, False)

    reasons = ineffective_overrides(compose, overrides)
    if reasons:
        raise LightdetError("; ".join(reasons))


def ineffective_overrides(compose: Callable[[list[str]], DictConfig], overrides: list[str]) -> list[str]:
    """One line for each override that says something else than the default and yet changes nothing.

    An override acts when leaving it out changes any group of the resolved config; naming the default is fine.
    """
    with_all = compose(overrides)
    reasons = []
    for index, override in enumerate(overrides):
        others = overrides[:index] + overrides[index + 1 :]
        try:
            without = compose(others)
            same = _effect(without) == _effect(with_all)
        except (HydraException, OmegaConfBaseException, LightdetError):
            continue  # the config needs it
        key = override.partition("=")[0].lstrip("+~")
        default = _said(without, key)
        if same and default != _said(with_all, key):
            instead = f"without it {key}={default} gives" if default is not None else "without it one gets"
            beside = f" beside {' '.join(others)}" if others else ""
            reasons.append(f"{override} changes nothing{beside}: {instead} the same training; leave it out")
    return reasons


def _effect(cfg: DictConfig) -> dict[str, Any]:
    """Everything in a config that anything reads: its groups, and the plain values that are not fed into groups."""
    bare = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    kept = ("image_size", "seed", "study", "runs_dir")
    return {key: value for key, value in resolve(bare).items() if isinstance(value, dict) or key in kept}


def _said(cfg: DictConfig, key: str) -> Any:
    """What a config says under an override's key: the chosen option of a group, or the value."""
    options = cfg.hydra.runtime.choices if "hydra" in cfg else {}
    return options[key] if key in options else OmegaConf.select(cfg, key.replace("/", "."), default=None)


# ---------------------------------------------------------------- the study around the jobs


class Study(Callback):
    """Hydra callback: names a sweep's study before its first job, and after the last prints and saves the table."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Without `study=...`, the same words on the command line find the same study."""
        _failed.clear()
        words = list(config.hydra.overrides.task)
        os.environ[STUDY] = study_name(config.study or sweep_slug(words))
        os.environ[SWEEP] = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """The table of the whole study; failed jobs of this sweep by name."""
        study_path = Path(config.runs_dir) / os.environ.pop(STUDY)
        sweep = os.environ.pop(SWEEP)
        (study_path / "multirun.yaml").unlink(missing_ok=True)  # Hydra's copy of what config.yaml of each run says
        rows = read_rows(study_path)
        write_tables(study_path, rows)
        _failed[:] = [row for row in rows if row.state == "failed" and row.sweep == sweep]
        print(f"\n{to_text(rows)}\n\nlightdet: {study_path}/table.md and table.csv hold this table", flush=True)
        if _failed:
            print("\n" + "\n".join(failures(_failed)), flush=True)


def sweep_slug(words: list[str]) -> str:
    """The study's name: what is swept and what is fixed, ["attention=cbam,none"] -> "attention-cbam-none"."""
    swept = [word.replace(",", "-") if re.fullmatch(r"[^=]+=[\w.,-]+", word) else word for word in words]
    return slug(swept, keep_seed=any(word.startswith("seed=") and not word[5:].isdigit() for word in words))
