"""The configuration that a command line describes, composed by Hydra without Hydra's own application. No torch here."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lightdet.conf_dir import conf_dir
from lightdet.error import LightdetError


def compose_config(overrides: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The configuration that `lightdet train` would see under these overrides."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", overrides=_with_folder(overrides, config_dir))


def compose_job(overrides: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The same with Hydra's own section, from which HydraConfig answers from now on: the chosen options are known."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", overrides=_with_folder(overrides, config_dir), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg


def _with_folder(overrides: Sequence[str], config_dir: Path | None) -> list[str]:
    if config_dir is None:
        return list(overrides)
    if not config_dir.is_dir():
        raise LightdetError(f"--config-dir {config_dir}: there is no such folder")
    return [*overrides, f"hydra.searchpath=[file://{config_dir.resolve()}]"]
