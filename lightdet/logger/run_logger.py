"""What a logger of a run does beside what Lightning asks of it: it takes the final numbers, it never raises and never
keeps a training waiting for ever."""

import sys
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from lightdet.config.tree import resolve
from lightdet.core.errors import LightdetError, first_cause
from lightdet.logger.guarded_thread import GuardedThread, Silence
from lightdet.logger.names import identity
from lightdet.runs.folder import RunFolder

PATIENCE = 3  # failures after which a tracker is let go
_open: list["RunLogger"] = []  # of the job that this process is at


def close_trackers() -> None:
    """End what is still open, with the state of its run, so that the next job of this process gets runs of its own."""
    for logger in list(_open):
        logger.finish()


class RunLogger(Logger):
    """A Lightning logger that is also told the final numbers. It never raises into a training: the first failure is
    one line on stderr, and after the third it is let go, as it is after `seconds` without an answer.

    A tracker fills in `write_row`, `write_results` and `close`; what it does at the start goes through `guard`, too.
    """

    title = "the tracker"  # as people call it
    extra = ""  # of pyproject.toml, which installs it
    seconds = 300.0  # that one call may take

    def __init__(self, folder: RunFolder, config: dict[str, Any]) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.identity = identity(folder, config)
        self.failures = 0
        self._aside = GuardedThread(f"lightdet-{self.title}")
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
        """Nothing: trackers take the choices and the configuration from the run folder."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """A row of the history."""
        self.guard(lambda: self.write_row({name: float(value) for name, value in metrics.items()}, step or 0))

    def log_results(self, results: dict[str, Any]) -> None:
        """What `results.json` will say, and the pictures in the run folder."""
        self.guard(lambda: self.write_results(results))

    def finalize(self, status: str) -> None:
        """Nothing yet: results come after Lightning is through. `finish` ends the run."""

    def finish(self) -> None:
        """End the run in the state that `status.json` tells."""
        if self in _open:
            _open.remove(self)
            self.guard(lambda: self.close(str(self.folder.read_status().get("state", "done"))))
            self._aside.end()

    @abstractmethod
    def write_row(self, values: dict[str, float], step: int) -> None:
        """One row; `values` has the epoch under "epoch", `step` counts optimizer steps. A resume repeats rows."""

    @abstractmethod
    def write_results(self, results: dict[str, Any]) -> None:
        """Final numbers and pictures; may come twice for a run that was killed just afterwards."""

    @abstractmethod
    def close(self, state: str) -> None:
        """End the run; `state` as in status.json: done, failed, killed, ..."""

    def abandon(self) -> None:
        """Called once when it has not answered in time: do what keeps it from holding up the end of the process."""

    def guard(self, action: Callable[[], Any]) -> None:
        """Do it, in a thread that is left behind when it does not come back in time; the first failure is one line."""
        if self.failures >= PATIENCE:
            return
        try:
            self._aside.do(action, self.seconds)
        except Silence:
            self._tell(f"has not answered for {self.seconds:g} s")
            self.failures = PATIENCE
            self.abandon()
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and bool(self.extra)
            reason = (
                f"is not installed (pip install 'lightdet[{self.extra}]')"
                if missing
                else f"failed ({first_cause(error)})"
            )
            if not self.failures:
                self._tell(reason)
            self.failures = PATIENCE if missing else self.failures + 1

    def _tell(self, reason: str) -> None:
        told = f"lightdet: {self.title} {reason}; the training goes on, its numbers are in {self.folder.path}"
        print(told, file=sys.stderr, flush=True)


def build_loggers(cfg: DictConfig, folder: RunFolder) -> list[RunLogger]:
    """The trackers that `conf/logger` chose for this run; [] for `logger=none`.

    An option's `_target_` is called with the run folder and the resolved config (a dict) beside its own knobs.
    Raises LightdetError for an option file that does not say where it goes.
    """
    close_trackers()
    chosen = cfg.get("logger") or {}
    return [build_logger(str(name), chosen[name], cfg, folder) for name in chosen]


def build_logger(name: str, option: Any, cfg: DictConfig, folder: RunFolder) -> RunLogger:
    """One tracker from its option."""
    if not OmegaConf.is_dict(option) or "_target_" not in option:
        raise LightdetError(
            f"logger: {name} is no tracker; an option file in logger/ opens with `# @package logger.NAME` "
            "and names its class as _target_"
        )
    logger = instantiate(option, _partial_=True, _convert_="all")(folder, resolve(cfg))
    assert isinstance(logger, RunLogger)
    return logger
