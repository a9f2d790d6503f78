"""How far a mean average precision is above another, and whether that may be believed. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightdet.metric.bootstrap import MEANS, interval
from lightdet.metric.paired import degrees, over_images_and_seeds, p_value, seed_error

SIGNIFICANT = 0.05
WITHIN_NOISE = "within noise"
NOT_AFTER_HOLM = "not after Holm"


@dataclass(frozen=True, slots=True)
class Difference:
    """What one side of a comparison has more than the other, of one mean average precision."""

    estimate: float
    over_images: tuple[float, float]  # 95 %
    over_both: tuple[float, float] | None  # 95 %, images and seeds; None where no seed is known beside another
    image_error: float = 0.0  # standard deviation of the estimate over resampled images
    seed_spread: float | None = None  # sample standard deviation of the paired differences; None for one seed
    p: float = 1.0  # two-sided, of this row alone
    holm: float = 1.0  # adjusted for all rows that are compared with the baseline

    @property
    def interval(self) -> tuple[float, float]:
        """The one that counts: over images and, with several, seeds."""
        return self.over_both or self.over_images

    def text(self) -> str:
        """Such as "+0.012 [-0.003, +0.027]"."""
        low, high = self.interval
        return f"{self.estimate:+.3f} [{low:+.3f}, {high:+.3f}]"

    @property
    def within_noise(self) -> bool:
        """Whether an interval holds 0."""
        pairs = [self.over_images, *([self.over_both] if self.over_both else [])]
        return not all(low > 0 or high < 0 for low, high in pairs)

    @property
    def verdict(self) -> str:
        """Why the difference should not be believed, or ""."""
        if self.within_noise or self.p > SIGNIFICANT:
            return WITHIN_NOISE
        return NOT_AFTER_HOLM if self.holm > SIGNIFICANT else ""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run's means on the full set and on every resample, and what they were measured on."""

    images: int
    data: str  # digest of classes, image ids and truth
    split: str  # digest of splits.json, "" without one
    full: np.ndarray  # (3,)
    resampled: np.ndarray  # (R, 3)


@dataclass(frozen=True, slots=True)
class Gap:
    """What one run's means are above another's, on the full set and on every resample."""

    images: int
    full: np.ndarray  # (3,)
    resampled: np.ndarray  # (R, 3)

    @classmethod
    def between(cls, mine: Measured, theirs: Measured) -> "Gap":
        return cls(mine.images, mine.full - theirs.full, mine.resampled - theirs.resampled)

    @classmethod
    def mean(cls, gaps: Sequence["Gap"]) -> "Gap":
        full, resampled = (np.mean([getattr(gap, name) for gap in gaps], axis=0) for name in ("full", "resampled"))
        return cls(gaps[0].images, full, resampled)

    def times(self, factor: float) -> "Gap":
        return Gap(self.images, factor * self.full, factor * self.resampled)


def judged(groups: Sequence[Sequence[Gap]], weights: Sequence[float]) -> dict[str, Difference]:
    """Gaps, one per pair of trainings, in groups whose weights add up to 1 -> their mean by the name of the mean
    precision, judged alone; see `metric/paired.py`. Several groups have no common `seed_spread`: it is pooled."""
    full = [np.stack([gap.full for gap in group]) for group in groups]  # of each (S, 3)
    resampled = [np.stack([gap.resampled for gap in group]) for group in groups]  # of each (S, R, 3)
    images, freedom = groups[0][0].images, degrees(full)
    found = {}
    for index, name in enumerate(MEANS):
        drawn = [values[:, :, index] for values in resampled]
        weighted = [weight * values.mean(axis=0) for weight, values in zip(weights, drawn, strict=True)]
        over_images = np.sum(weighted, axis=0)
        over_both = over_images_and_seeds(drawn, weights) if freedom else None
        estimate = float(sum(w * values[:, index].mean() for w, values in zip(weights, full, strict=True)))
        image_error = float(np.nanstd(over_images))
        trained = 0.0 if over_both is None else seed_error(over_images, over_both, freedom)
        squares = sum(float(((values[:, index] - values[:, index].mean()) ** 2).sum()) for values in full)
        p = p_value(estimate, image_error, trained, images, freedom)
        found[name] = Difference(
            estimate,
            interval(over_images),
            None if over_both is None else interval(over_both),
            image_error,
            (squares / freedom) ** 0.5 if freedom else None,
            p,
            p,
        )
    return found
