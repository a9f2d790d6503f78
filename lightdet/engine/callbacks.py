"""The Lightning callbacks that the config group `callback` adds to a training."""

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig

from lightdet.core.errors import LightdetError


def build_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """The callbacks of a composed configuration, in its order; in every rank they run before the built-in ones.

    Raises LightdetError for an option file without a `# @package` line, and for an object that is no Lightning
    callback.
    """
    chosen = cfg.get("callback") or {}
    if "_target_" in chosen:
        raise LightdetError(
            "callback: the file of this option names no place; its first line must be `# @package callback.NAME`"
        )
    callbacks = {name: instantiate(option, _convert_="all") for name, option in chosen.items()}
    for name, callback in callbacks.items():
        if not isinstance(callback, pl.Callback):
            raise LightdetError(
                f"callback.{name}: {type(callback).__name__} is no Lightning callback; derive it from "
                "pytorch_lightning.Callback"
            )
    return list(callbacks.values())
