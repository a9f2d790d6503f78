"""What a logger of a run does beside what Lightning asks of it."""

from abc import abstractmethod
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger

from lightdet.run import RunFolder, resolve


class RunLogger(Logger):
    """A Lightning logger that is also told the final numbers. It never raises into a training."""

    @abstractmethod
    def log_results(self, results: dict[str, Any], folder: RunFolder) -> None:
        """Take what `results.json` will say, and the pictures in the folder."""


def build_logger(cfg: DictConfig, folder: RunFolder) -> RunLogger | None:
    """The logger that `conf/logger` chose for this run; None for `logger=none`.

    An option's `_target_` is called with the run folder and the resolved config (a dict) beside its own knobs.
    """
    if not cfg.get("logger"):
        return None
    logger = instantiate(cfg.logger, _partial_=True, _convert_="all")(folder, resolve(cfg))
    assert isinstance(logger, RunLogger)
    return logger
