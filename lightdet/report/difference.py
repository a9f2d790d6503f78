"""Differences between the scores of two runs, and their verdicts. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightdet.metric.bootstrap import interval
from lightdet.metric.paired import degrees, over_images_and_seeds, p_value, seed_error

SIGNIFICANT = 0.05
WITHIN_NOISE = "within noise"
NOT_AFTER_HOLM = "not after Holm"


@dataclass(frozen=True, slots=True)
class Difference:
    """One score of a row minus that of the baseline."""

    estimate: float
    over_images: tuple[float, float]  # 95 %
    over_both: tuple[float, float] | None  # 95 %, images and seeds; None where no seed is known beside another
    image_error: float = 0.0  # standard deviation of the estimate over resampled images
    seed_spread: float | None = None  # sample standard deviation of the paired differences; None for one seed
    p: float = 1.0  # two-sided, of this row alone
    holm: float = 1.0  # adjusted for all rows that are compared with the baseline

    @property
    def interval(self) -> tuple[float, float]:
        """Over images and, with several pairs, seeds."""
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
        """Why the difference is not significant, or ""."""
        if self.within_noise or self.p > SIGNIFICANT:
            return WITHIN_NOISE
        return NOT_AFTER_HOLM if self.holm > SIGNIFICANT else ""


@dataclass(frozen=True, slots=True)
class Measured:
    """The scores of one run on all images and on every resample, and the identity of the data."""

    images: int
    data: str  # digest of the image ids and, where it is kept, the ground truth
    split: str  # digest of splits.json, "" without one
    keys: tuple[str, ...]  # of K scores
    full: np.ndarray  # (K,)
    resampled: np.ndarray  # (R, K)


@dataclass(frozen=True, slots=True)
class Gap:
    """The scores of one run minus those of another, on all images and on every resample."""

    images: int
    keys: tuple[str, ...]  # of K scores
    full: np.ndarray  # (K,)
    resampled: np.ndarray  # (R, K)

    @classmethod
    def between(cls, measured: Measured, reference: Measured) -> "Gap":
        """Both measured on the same images, with the same keys."""
        return cls(
            measured.images,
            measured.keys,
            measured.full - reference.full,
            measured.resampled - reference.resampled,
        )

    @classmethod
    def mean(cls, gaps: Sequence["Gap"]) -> "Gap":
        """Over gaps with the same keys."""
        full, resampled = (np.mean([getattr(gap, name) for gap in gaps], axis=0) for name in ("full", "resampled"))
        return cls(gaps[0].images, gaps[0].keys, full, resampled)

    def times(self, factor: float) -> "Gap":
        return Gap(self.images, self.keys, factor * self.full, factor * self.resampled)

    def of(self, key: str) -> float:
        """The gap of one score on all images; NaN where the runs do not keep it per image."""
        return float(self.full[self.keys.index(key)]) if key in self.keys else float("nan")


def judged(groups: Sequence[Sequence[Gap]], weights: Sequence[float]) -> dict[str, Difference]:
    """Gaps, one per pair of trainings, in groups whose weights add up to 1 -> their mean by the key of the score, each
    judged alone; see `metric/paired.py`. Several groups have no common `seed_spread`: it is pooled."""
    return {key: _judged(index, groups, weights) for index, key in enumerate(groups[0][0].keys)}


def _judged(index: int, groups: Sequence[Sequence[Gap]], weights: Sequence[float]) -> Difference:
    full = [np.stack([gap.full[index] for gap in group]) for group in groups]  # of each (S,)
    drawn = [np.stack([gap.resampled[:, index] for gap in group]) for group in groups]  # of each (S, R)
    images, freedom = groups[0][0].images, degrees(full)
    over_images = np.sum([w * values.mean(axis=0) for w, values in zip(weights, drawn, strict=True)], axis=0)
    over_both = over_images_and_seeds(drawn, weights) if freedom else None
    estimate = float(sum(w * values.mean() for w, values in zip(weights, full, strict=True)))
    image_error = float(np.nanstd(over_images))
    trained = 0.0 if over_both is None else seed_error(over_images, over_both, freedom)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in full)
    p = p_value(estimate, image_error, trained, images, freedom)
    return Difference(
        estimate,
        interval(over_images),
        None if over_both is None else interval(over_both),
        image_error,
        (squares / freedom) ** 0.5 if freedom else None,
        p,
        p,
    )
