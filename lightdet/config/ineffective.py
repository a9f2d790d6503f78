"""Overrides that change nothing: refused for a single run, whose user would believe that something was changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightdet.config.composition import composed
from lightdet.config.tree import READ_AT_TOP, ignored, lies_in, resolve, without, without_hydra
from lightdet.core.errors import LightdetError

SWEEPS_ALONE = ("launcher", "study.on_error", "study.retry")


def refuse_alone(overrides: list[str]) -> None:
    """Raise LightdetError for an override that only a sweep reads: a single run is trained here and now."""
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if lies_in(key, SWEEPS_ALONE):
            raise LightdetError(f"{override}: only a sweep reads it; add -m, also for a single row")


def refuse_ineffective(overrides: list[str], hydra_overrides: list[str], config_dir: Path | None = None) -> None:
    """Raise LightdetError for an override of a single run that changes nothing, those for Hydra apart."""
    reasons = ineffective_overrides(lambda words: composed([*hydra_overrides, *words], config_dir), overrides)
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
    kept = (*READ_AT_TOP, "runs_dir", "name")
    read = without(resolve(without_hydra(cfg)), ignored(cfg))
    return {key: value for key, value in read.items() if isinstance(value, dict) or key in kept}


def _said(cfg: DictConfig, key: str) -> Any:
    """What a config says under an override's key: the chosen option of a group, or the value."""
    options = cfg.hydra.runtime.choices if "hydra" in cfg else {}
    return options[key] if key in options else OmegaConf.select(cfg, key.replace("/", "."), default=None)
