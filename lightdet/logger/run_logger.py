"""The contract of a tracker: a Lightning logger that also takes the final results, never raises and never blocks."""

import sys
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from lightdet.config.tree import resolve
from lightdet.core.errors import LightdetError, first_cause
from lightdet.logger.guarded_thread import GuardedThread, NoAnswer
from lightdet.logger.names import identity
from lightdet.runs.folder import RunFolder

PATIENCE = 3  # failures after which a tracker is no longer used
_open: list["RunLogger"] = []  # of the current job of this process


def close_trackers() -> None:
    """Finishes all open trackers with the state of their runs, before the next job of this process begins."""
    for logger in list(_open):
        logger.finish()


class RunLogger(Logger):
    """A Lightning logger that also takes the final results. It never raises into a training: the first failure prints
    one line on stderr; after the third, or after `seconds` without an answer, the tracker is no longer used.

    A tracker implements `write_row`, `write_results` and `close`; its set-up goes through `guard` as well.
    """

    title = "the tracker"  # in messages
    extra = ""  # of pyproject.toml, which installs it
    seconds = 300.0  # limit of one call

    def __init__(self, folder: RunFolder, config: dict[str, Any]) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.identity = identity(folder, config)
        self.failures = 0
        self._thread = GuardedThread(f"lightdet-{self.title}")
        _open.append(self)

    @property
    def name(self) -> str:
        """The run's name: choices and seed."""
        return str(self.identity["name"])

    @property
    def version(self) -> str:
        """The run's id."""
        return str(self.identity["id"])

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.folder.path)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: trackers take the choices and the configuration from the run folder."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Logs one row of the history."""
        self.guard(lambda: self.write_row({name: float(value) for name, value in metrics.items()}, step or 0))

    def log_results(self, results: dict[str, Any]) -> None:
        """Logs the content of `results.json` and the pictures in the run folder."""
        self.guard(lambda: self.write_results(results))

    def finalize(self, status: str) -> None:
        """Does nothing: results follow after Lightning has finished. `finish` ends the run."""

    def finish(self) -> None:
        """Ends the run with the state in `status.json`."""
        if self in _open:
            _open.remove(self)
            self.guard(lambda: self.close(str(self.folder.read_status().get("state", "done"))))
            self._thread.end()

    @abstractmethod
    def write_row(self, values: dict[str, float], step: int) -> None:
        """Writes one row; `values` holds "epoch", `step` counts optimizer steps. A resumed run repeats rows."""

    @abstractmethod
    def write_results(self, results: dict[str, Any]) -> None:
        """Writes final numbers and pictures; called twice for a run that was killed just after the first call."""

    @abstractmethod
    def close(self, state: str) -> None:
        """Ends the run; `state` as in status.json: done, failed, killed, ..."""

    def abandon(self) -> None:
        """Called once after a call without an answer: releases what would delay the exit of the process."""

    def guard(self, action: Callable[[], Any]) -> None:
        """Calls the action in a thread that is abandoned when it does not return in time; prints the first failure."""
        if self.failures >= PATIENCE:
            return
        try:
            self._thread.do(action, self.seconds)
        except NoAnswer:
            self._report(f"has not answered for {self.seconds:g} s")
            self.failures = PATIENCE
            self.abandon()
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and bool(self.extra)
            reason = (
                f"is not installed (pip install '.[{self.extra}]' in the clone)"
                if missing
                else f"failed ({first_cause(error)})"
            )
            if not self.failures:
                self._report(reason)
            self.failures = PATIENCE if missing else self.failures + 1

    def _report(self, reason: str) -> None:
        line = f"lightdet: {self.title} {reason}; the training continues, its numbers are in {self.folder.path}"
        print(line, file=sys.stderr, flush=True)


def build_loggers(cfg: DictConfig, folder: RunFolder) -> list[RunLogger]:
    """The trackers that `logger=` chooses for this run; [] for `logger=none`.

    An option's `_target_` is called with the run folder and the resolved config (a dict) beside its own settings.
    Raises LightdetError for an option file that sets no package.
    """
    close_trackers()
    chosen = cfg.get("logger") or {}
    return [build_logger(str(name), chosen[name], cfg, folder) for name in chosen]


def build_logger(name: str, option: Any, cfg: DictConfig, folder: RunFolder) -> RunLogger:
    """One tracker from its option. Raises LightdetError for an option without `_target_`."""
    if not OmegaConf.is_dict(option) or "_target_" not in option:
        raise LightdetError(
            f"logger: {name} is no tracker; an option file in logger/ opens with `# @package logger.NAME` "
            "and names its class as _target_"
        )
    logger = instantiate(option, _partial_=True, _convert_="all")(folder, resolve(cfg))
    assert isinstance(logger, RunLogger)
    return logger
