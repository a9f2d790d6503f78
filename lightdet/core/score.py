"""A number that a metric computes, declared once for everything that logs, compares or shows it. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightdet.core.errors import LightdetError


@dataclass(frozen=True, slots=True)
class Score:
    """One declared number of a metric.

    key: its key in `results.json` under "metrics", e.g. "map50_95". With `per_class` it lies under
        `metrics.per_class.<class>.<key>`.
    title: its name for people, e.g. "mAP50-95".
    log_name: its name in metrics.csv, in trackers and for `trainer.monitor`, e.g. "val/map50_95". With `per_class` a
        prefix: "val/ap50" stands for "val/ap50/<class>".
    higher_is_better: False for errors and losses.
    primary: what a training is judged by where nothing else is named; exactly one of a metric's scores.
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
