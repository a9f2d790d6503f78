"""Whether a method says more than a trivial map: means with intervals, and the paired difference to the best of them.

Images are resampled, not cases, because the boxes of one image are not independent. No torch here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lightdet.core.score import Score
from lightdet.metric.bootstrap import draw, interval

RESAMPLES = 1000
BETTER, WORSE, OPEN, FEW = "better", "worse", "not shown to be better", "too few images"
LEAST_IMAGES = 10  # under which no verdict is given: an interval over resamples of so few is too narrow


@dataclass(frozen=True, slots=True)
class Compared:
    """A score of a method over some cases, and its difference to the best trivial map, in the score's own direction."""

    mean: float
    low: float  # the 95 % interval
    high: float
    cases: int
    against: str = ""  # the trivial map; "" for a trivial map itself
    difference: float = float("nan")
    difference_low: float = float("nan")
    difference_high: float = float("nan")
    verdict: str = ""  # better, worse, not shown to be better, too few images

    def as_json(self) -> dict[str, Any]:
        """Its fields; None for a number that does not exist."""
        return {
            key: None if isinstance(value, float) and np.isnan(value) else value for key, value in asdict(self).items()
        }


def compared(
    score: Score, values: Mapping[str, np.ndarray], images: np.ndarray, trivial: Sequence[str]
) -> dict[str, Compared]:
    """values: method -> (cases,), images (cases,) the image of each case -> a `Compared` for each method that has any.

    The best trivial map is the one of the best mean on the same cases, which makes it a little harder to beat.
    """
    means = {name: of_cases[known].mean() for name, of_cases in values.items() if (known := ~np.isnan(of_cases)).any()}
    numbers, places = np.unique(images, return_inverse=True)
    counts = draw(len(numbers), RESAMPLES) if len(numbers) else np.zeros((RESAMPLES, 0), np.int64)
    resampled = {name: _resampled(values[name], places, counts) for name in means}
    sign = 1 if score.higher_is_better else -1
    rivals = [name for name in trivial if name in means]
    best = max(rivals, key=lambda name: sign * means[name]) if rivals else ""
    result = {}
    for name, mean in means.items():
        facts: dict[str, Any] = dict(zip(("low", "high"), interval(resampled[name]), strict=True))
        if best and name not in trivial:
            low, high = interval(resampled[name] - resampled[best])
            ahead = (low > 0) if sign > 0 else (high < 0)
            behind = (high < 0) if sign > 0 else (low > 0)
            facts |= {
                "against": best,
                "difference": float(mean - means[best]),
                "difference_low": low,
                "difference_high": high,
                "verdict": BETTER if ahead else WORSE if behind else OPEN,
            }
            if len(np.unique(images[~np.isnan(values[name])])) < LEAST_IMAGES:
                facts["verdict"] = FEW
        result[name] = Compared(float(mean), cases=int((~np.isnan(values[name])).sum()), **facts)
    return result


def _resampled(of_cases: np.ndarray, places: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(R,): the mean over the cases of resampled images; NaN where none of them has a value."""
    known = ~np.isnan(of_cases)
    sums = np.bincount(places[known], weights=of_cases[known], minlength=counts.shape[1])
    numbers = np.bincount(places[known], minlength=counts.shape[1])
    total = counts @ numbers
    return np.where(total > 0, counts @ sums / np.maximum(total, 1), np.nan)
