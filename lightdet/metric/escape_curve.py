"""Escapes and overkill at every threshold, with exact intervals; and the threshold of least cost. No torch here."""

from dataclasses import dataclass

import numpy as np

from lightdet.metric.bootstrap import draw
from lightdet.metric.escape_bound import lowered
from lightdet.metric.exact_interval import interval

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Share:
    """Images counted among all of their kind, with the exact interval of 95 %; rate None without images."""

    count: int
    of: int

    @property
    def rate(self) -> float | None:
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        return interval(self.count, self.of)

    def as_json(self) -> dict[str, float | int | list[float] | None]:
        """count, of, rate and interval."""
        return {"count": self.count, "of": self.of, "rate": self.rate, "interval": list(self.interval)}

    def __str__(self) -> str:
        if not self.of:
            return "unknown: there is none"
        low, high = self.interval
        return f"{self.count} of {self.of}, {100 * self.count / self.of:.3g} % [{100 * low:.3g}, {100 * high:.3g}]"


def thresholds_of(scores: np.ndarray) -> np.ndarray:
    """Every threshold that sorts the images (N,) in another way, ascending; images without a score have none."""
    return np.unique(scores[np.isfinite(scores)])


def below(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many of the scores are below each threshold: of defective images the escapes."""
    counts: np.ndarray = np.searchsorted(np.sort(scores), thresholds, side="left")
    return counts


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The threshold of the least expected cost per part, with bootstrap intervals of 95 % over images.

    cost is that of these images, on which the threshold was chosen; `elsewhere` adds the optimism of that choice, as
    the resamples show it (Efron 1983, JASA 78, the ordinary bootstrap).
    """

    threshold: float
    cost: float
    elsewhere: float
    threshold_interval: tuple[float, float]
    cost_interval: tuple[float, float]


def cheapest(
    defective: np.ndarray, good: np.ndarray, prices: tuple[float, float], share: float, resamples: int = RESAMPLES
) -> Cheapest:
    """defective (N,) and good (M,) scores, prices of an escape and of an overkill, share of defective parts.

    Of equally cheap thresholds the lowest is taken, at which fewer defective parts escape. Defective and good images
    are resampled apart, since the share is given.
    """
    candidates = thresholds_of(np.concatenate([defective, good]))
    bad_price, good_price = prices[0] * share, prices[1] * (1 - share)

    def expected(bad_counts: np.ndarray, good_counts: np.ndarray) -> np.ndarray:
        escaped = _shares_below(bad_counts, defective, candidates)
        return bad_price * escaped + good_price * (1 - _shares_below(good_counts, good, candidates))

    costs = expected(np.ones((1, len(defective)), int), np.ones((1, len(good)), int))
    drawn = expected(draw(len(defective), resamples, 0), draw(len(good), resamples, 1))
    best = int(costs[0].argmin())
    each = drawn.argmin(axis=1)
    optimism = (costs[0][each] - drawn[np.arange(resamples), each]).mean()
    return Cheapest(
        lowered(float(candidates[best])),
        float(costs[0, best]),
        float(costs[0, best] + optimism),
        _middle(candidates[each]),
        _middle(drawn[:, best]),
    )


def _shares_below(counts: np.ndarray, scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(R, T): the share of the images (N,), each drawn `counts` (R, N) times, below each threshold."""
    order = np.argsort(scores, kind="stable")
    sums = np.concatenate([np.zeros((len(counts), 1), int), np.cumsum(counts[:, order], axis=1)], axis=1)
    shares: np.ndarray = sums[:, np.searchsorted(scores[order], thresholds, side="left")] / len(scores)
    return shares


def _middle(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
