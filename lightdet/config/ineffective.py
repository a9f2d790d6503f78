"""Refuses overrides of a single run that change nothing, because the user expects a change."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightdet.config.composition import composed
from lightdet.config.tree import READ_AT_TOP, ignored, lies_in, resolve, without, without_hydra
from lightdet.core.errors import LightdetError

VALUE = re.compile(r"[A-Za-z_]\w*(\.\w+)+=")  # an override of one value inside of a section
SWEEPS_ALONE = ("launcher", "study.on_error", "study.retry")


def refuse_alone(overrides: list[str]) -> None:
    """Raise LightdetError for an override that only a sweep reads: a single run is trained by this process."""
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if lies_in(key, SWEEPS_ALONE):
            raise LightdetError(f"{override}: only a sweep reads it; add -m, also for a single job")


def refuse_ineffective(overrides: list[str], hydra_overrides: list[str], config_dir: Path | None = None) -> None:
    """Raise LightdetError for an override of a single run that changes nothing, except those of Hydra."""
    reasons = ineffective_overrides(lambda words: composed([*hydra_overrides, *words], config_dir), overrides)
    if reasons:
        raise LightdetError("; ".join(reasons))


def ineffective_overrides(compose: Callable[[list[str]], DictConfig], overrides: list[str]) -> list[str]:
    """One line for each override that differs from the default and yet changes nothing.

    An override acts when leaving it out changes any group of the resolved config; naming the default is fine.
    """
    with_all = compose(overrides)
    values = [override for override in overrides if VALUE.match(override)]
    without_values = (
        compose([override for override in overrides if override not in values]) if len(values) > 1 else None
    )
    reasons = []
    for index, override in enumerate(overrides):
        if without_values is not None and override in values and _changes_itself(override, with_all, without_values):
            continue
        others = overrides[:index] + overrides[index + 1 :]
        try:
            without = compose(others)
            same = _effect(without) == _effect(with_all)
        except (HydraException, OmegaConfBaseException, LightdetError):
            continue  # the config needs it
        key = override.partition("=")[0].lstrip("+~")
        default = _value(without, key)
        if same and default != _value(with_all, key):
            instead = f"without it {key}={default} gives" if default is not None else "without it one gets"
            beside = f" beside {' '.join(others)}" if others else ""
            reasons.append(f"{override} changes nothing{beside}: {instead} the same training; leave it out")
    return reasons


def _changes_itself(override: str, with_all: DictConfig, without_values: DictConfig) -> bool:
    """Whether an override of one value surely acts: what it changes does not follow another value. It saves composing
    the configuration without it; False decides nothing."""
    key = override.partition("=")[0]
    section, _, name = key.rpartition(".")
    before, after = OmegaConf.select(without_values, section), OmegaConf.select(with_all, section)
    if not isinstance(before, DictConfig) or not isinstance(after, DictConfig) or name not in before:
        return False
    if (
        lies_in(key, ignored(with_all))
        or OmegaConf.is_interpolation(before, name)
        or OmegaConf.is_missing(before, name)
    ):
        return False
    return bool(before[name] != after.get(name))


def _effect(cfg: DictConfig) -> dict[str, Any]:
    """The parts of a config that are read: its groups, and the plain values that are not fed into groups."""
    kept = (*READ_AT_TOP, "runs_dir", "name")
    read = without(resolve(without_hydra(cfg)), ignored(cfg))
    return {key: value for key, value in read.items() if isinstance(value, dict) or key in kept}


def _value(cfg: DictConfig, key: str) -> Any:
    """The value of an override's key in a config, or the chosen option of a config group."""
    options = cfg.hydra.runtime.choices if "hydra" in cfg else {}
    return options[key] if key in options else OmegaConf.select(cfg, key.replace("/", "."), default=None)
