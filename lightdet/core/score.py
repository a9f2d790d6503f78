"""A number that a metric computes, declared once for everything that logs, compares or shows it. No torch here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightdet.core.errors import LightdetError

PRIMARY = "primary"  # as a monitor: the primary score of the model's metric
LOSS = "train/loss"  # the column of a training's objective


@dataclass(frozen=True, slots=True)
class Score:
    """One declared number of a metric.

    key: its key in `results.json` under "metrics", e.g. "accuracy". With `per_class` it lies under
        `metrics.per_class.<class>.<key>`.
    title: its name in tables and charts, e.g. "accuracy".
    log_name: its name in metrics.csv, in trackers and for `trainer.monitor`, e.g. "val/accuracy". With `per_class` a
        prefix: "val/recall" becomes "val/recall/<class>".
    higher_is_better: False for errors and losses.
    primary: the default monitor of a training; exactly one of a metric's scores.
    """

    key: str
    title: str
    log_name: str
    higher_is_better: bool = True
    primary: bool = False
    per_class: bool = False

    def logs(self, name: str) -> bool:
        """Whether a logged column of this name holds this score."""
        return name.startswith(f"{self.log_name}/") if self.per_class else name == self.log_name


@dataclass(frozen=True, slots=True)
class Monitor:
    """The value that selects the best checkpoint and that early stopping and the heartbeat use."""

    log_name: str  # a column of metrics.csv
    higher_is_better: bool

    @property
    def mode(self) -> str:
        """Lightning's word for the direction."""
        return "max" if self.higher_is_better else "min"

    def better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another one; than None: always."""
        return than is None or (value > than if self.higher_is_better else value < than)


def monitor_of(name: str, scores: Sequence[Score], classes: Sequence[str]) -> Monitor:
    """The monitor that `trainer.monitor` names: "primary", the log name of a score, or the loss of the training.

    `classes`: those with ground truth in the images that a training is validated on. Raises LightdetError for a name
    that is never logged.
    """
    if name == PRIMARY:
        score = primary_of(scores)
        return Monitor(score.log_name, score.higher_is_better)
    known = {LOSS: False}
    for score in scores:
        names = [f"{score.log_name}/{each}" for each in classes] if score.per_class else [score.log_name]
        known |= dict.fromkeys(names, score.higher_is_better)
    if name not in known:
        of_class = any(score.per_class and score.logs(name) for score in scores)
        reason = "no validation image has ground truth of this class" if of_class else "nothing is logged by this name"
        raise LightdetError(f"trainer.monitor={name}: {reason}; one of {', '.join((PRIMARY, *known))}")
    return Monitor(name, known[name])


def logged(scores: Sequence[Score], report: Mapping[str, Any]) -> dict[str, float]:
    """What a training logs of a metric's report, by log name: a score that does not exist counts as the worst, one of a
    class is left out."""
    values: dict[str, float] = {}
    for score in scores:
        if score.per_class:
            rows = report["per_class"].items()
            values |= {f"{score.log_name}/{name}": row[score.key] for name, row in rows if row[score.key] is not None}
        else:
            value = report[score.key]
            values[score.log_name] = (0.0 if score.higher_is_better else math.inf) if value is None else value
    return values


def primary_of(scores: Sequence[Score]) -> Score:
    """The one primary score. Raises LightdetError for none or several, and for one that is given per class."""
    chosen = [score for score in scores if score.primary]
    if len(chosen) != 1 or chosen[0].per_class:
        names = ", ".join(score.key for score in chosen) or "none"
        raise LightdetError(f"metric: exactly one score of the whole set must be primary, but primary is: {names}")
    return chosen[0]


def leading(scores: Sequence[Score]) -> tuple[Score, ...]:
    """What short tables and comparisons show: the primary score and the first other one of the whole set, as declared.

    Raises LightdetError as `primary_of` does.
    """
    primary = primary_of(scores)
    others = [score for score in scores if not score.per_class and score is not primary]
    return tuple(score for score in scores if score in (primary, *others[:1]))


def best_of(score: Score, values: Sequence[float]) -> float:
    """The best of at least one value of a score."""
    return max(values) if score.higher_is_better else min(values)
