"""The search space: settings and the values that each may take. No torch here."""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from lightdet.config.compose import compose_job
from lightdet.core.errors import LightdetError

RANGE = ("low", "high", "log", "step", "int")
DIGITS = 6  # significant digits of numbers drawn from a range, which users read and type
PLAIN_WORD = re.compile(r"[A-Za-z_][\w./-]*|\d[\w./]*-[\w./-]*")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting and the values that it may take."""

    key: str  # as on the command line
    distribution: BaseDistribution
    ends: tuple[Any, ...]  # every choice, or both ends of the range

    def word(self, value: Any) -> str:
        """The setting as an override: optimizer.lr=0.0012."""
        return f"{self.key}={_as_word(value)}"


def read_space(parameters: Mapping[Any, Any]) -> list[Parameter]:
    """The parameters. Raises LightdetError for an empty range and for anything but a list of choices or a range."""
    if not parameters:
        raise LightdetError("search.parameters is empty: name at least one setting and its choices or range")
    return [_parameter(str(key), given) for key, given in parameters.items()]


def _parameter(key: str, given: Any) -> Parameter:
    if isinstance(given, list):
        plain = all(value is None or isinstance(value, bool | int | float | str) for value in given)
        if not plain or len(given) < 2 or len(set(map(str, given))) < len(given):
            raise LightdetError(f"search.parameters: {key}: {given}: give two or more different plain values")
        return Parameter(key, CategoricalDistribution(given), tuple(given))
    if not isinstance(given, Mapping):
        raise LightdetError(f"search.parameters: {key}: {given}: give a list of choices or {{low: ..., high: ...}}")
    unknown = [name for name in given if name not in RANGE]
    if unknown:
        raise LightdetError(
            f"search.parameters: {key}: {unknown[0]} is no key of a range; the keys are {', '.join(RANGE)}"
        )
    return _range(key, given)


def _range(key: str, given: Mapping[Any, Any]) -> Parameter:
    low, high, step = given.get("low"), given.get("high"), given.get("step")
    log, whole = bool(given.get("log", False)), bool(given.get("int", False))
    place = f"search.parameters: {key}"
    for name, value in (("low", low), ("high", high), ("step", step)):
        good = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not (good and math.isfinite(value)) and not (name == "step" and value is None):  # type: ignore[arg-type]
            raise LightdetError(f"{place}.{name}={value}: a {'whole ' if whole else ''}number is needed")
    assert isinstance(low, int | float) and isinstance(high, int | float)
    if low >= high:
        raise LightdetError(f"{place}: the range from {low} to {high} is empty: low must be less than high")
    if log and (low <= 0 or step is not None):
        raise LightdetError(f"{place}: a logarithmic range begins above 0 and has no step")
    if step is not None and not 0 < step <= high - low:
        raise LightdetError(f"{place}.step={step}: must lie between 0 and high - low = {high - low:g}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a step that does not divide the range shortens it
        kind = (
            IntDistribution(int(low), int(high), log, 1 if step is None else int(step))
            if whole
            else FloatDistribution(float(low), float(high), log, step)
        )
    return Parameter(key, kind, (kind.low, kind.high))


def _as_word(value: Any) -> str:
    """A value in Hydra's grammar; text that would parse as another type is quoted."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    text = str(value)
    if isinstance(value, int) or (PLAIN_WORD.fullmatch(text) and text.lower() not in ("null", "true", "false")):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def check_space(space: Sequence[Parameter], words: Sequence[str], config_dir: Path | None) -> DictConfig:
    """The configuration of `words` alone, after composing every choice and both ends of every range once.

    Raises LightdetError for an unknown key or option, and for a searched setting that `words` fixes.
    """
    fixed = {word.lstrip("+~").partition("=")[0] for word in words}
    for parameter in space:
        if parameter.key in fixed:
            raise LightdetError(f"{parameter.key} is fixed on the command line and searched: remove one of the two")
    for index in range(max(len(parameter.ends) for parameter in space)):
        drawn = [parameter.word(parameter.ends[index % len(parameter.ends)]) for parameter in space]
        try:
            compose_job([*words, *drawn], config_dir)
        except LightdetError as error:
            raise LightdetError(f"search.parameters: {error}") from None
    return compose_job(words, config_dir)
