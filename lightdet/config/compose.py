"""The configuration that words on a command line describe. No torch here."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from lightdet.config import composition
from lightdet.config.refusals import refusal
from lightdet.config.trust import share_composed
from lightdet.config.words import require_words
from lightdet.core.errors import LightdetError


def compose_job(words: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The configuration of one run, with Hydra's section: `hydra.runtime.choices` holds the chosen options.

    `words` are overrides, `config_dir` a folder of further options. Raises LightdetError for overrides that cannot be
    composed.
    """
    require_words(words)
    try:
        cfg = composition.composed(words, config_dir)
    except (HydraException, OmegaConfBaseException) as error:
        raise LightdetError(refusal(error)) from error
    HydraConfig.instance().set_config(cfg)  # for ${hydra:...} in an option file
    share_composed(cfg)
    return cfg


def compose_config(words: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The same without Hydra's section: what a training reads."""
    cfg = compose_job(words, config_dir)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def compose_sweep(words: Sequence[str], config_dir: Path | None = None) -> list[list[str]]:
    """The overrides of every job of a sweep, in order. Raises LightdetError for overrides that cannot be swept, and for
    a sweep without a job."""
    require_words(words)
    try:
        jobs = composition.expanded(words, config_dir)
    except HydraException as error:
        raise LightdetError(refusal(error)) from error
    if not jobs:
        raise LightdetError(f"{' '.join(words)}: no training comes of it; a glob or a range in it is empty")
    return jobs
