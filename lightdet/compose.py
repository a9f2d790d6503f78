"""The configuration that `lightdet train` would see, without training. No torch here."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from lightdet.conf_dir import conf_dir
from lightdet.error import LightdetError


def compose_config(overrides: list[str], config_dir: Path | None = None) -> DictConfig:
    """The configuration under these overrides; `config_dir` holds config groups of one's own.

    Raises LightdetError for a folder that is not there, and what Hydra raises for an override that it cannot apply.
    """
    if config_dir is not None:
        if not config_dir.is_dir():
            raise LightdetError(f"--config-dir {config_dir}: there is no such folder")
        overrides = [*overrides, f"hydra.searchpath=[file://{config_dir.resolve()}]"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", overrides=overrides)
