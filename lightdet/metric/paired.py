"""Two rows over several seeds: how certain their difference is, and which difference could be detected.

A pair is two trainings with the same seed, measured on the same images. Its difference varies because other images
could have been drawn and because another seed would have trained other weights, so that both are resampled:

- Images: whole validation images with replacement, the same draw for every pair that was measured on the same images
  (crossed, the pigeonhole bootstrap of Owen 2007, Annals of Applied Statistics 1(2), 386-411). Separate draws for
  each seed would average the variation over images away, as if every training had been tested on another set.
- Seeds: whole pairs with replacement, in every resample anew. The mean of S drawn seeds scatters by sqrt((S - 1) / S)
  too little, and the spread of three seeds is a poor estimate: the seeds' part of a deviation is stretched by
  sqrt(S / (S - 1)) x t / z, t of S - 1 degrees of freedom (the correction of the expanded percentile interval,
  Hesterberg 2015, The American Statistician 69(4), 371-386). Unstretched, a 95 % interval over three seeds held the
  true difference in 73 to 78 % of simulated studies in which the seeds decide.

The interval over both is the wider one, because it adds the variation over seeds to the variation over images.

Pairs may come in groups, such as the same change made to several detectors: each group's pairs are then drawn among
themselves, and all groups together give the spread, with as many degrees of freedom as they have pairs beyond one each
(the pure error of a factorial experiment). No torch here.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from lightdet.metric.bootstrap import LEVEL

POWER = 0.8  # probability of detecting a difference that exists
TAIL = 1 - (1 - LEVEL) / 2


def degrees(groups: Sequence[np.ndarray]) -> int:
    """Degrees of freedom of the seeds: pairs beyond one in each group, differences (S, R)."""
    return sum(len(group) - 1 for group in groups)


def over_images_and_seeds(groups: Sequence[np.ndarray], weights: Sequence[float] = (1.0,)) -> np.ndarray:
    """Differences of groups of pairs on R resamples of the images, each (S, R) -> mean differences (R,) with seeds
    resampled, the same every time. `weights` of the groups add up to 1; some group has two pairs or more.

    A group's deviation is drawn from those of all groups, each from its own mean: one spread serves all of them.
    """
    random, freedom = np.random.default_rng(1), degrees(groups)
    resamples = groups[0].shape[1]
    deviations = [widened(len(group)) * (group - group.mean(axis=0)) for group in groups if len(group) > 1]
    pool = np.concatenate(deviations)  # (N, R)
    far = student(freedom) / student(math.inf)
    total: np.ndarray = np.zeros(resamples)
    for group, weight in zip(groups, weights, strict=True):
        drawn = pool[random.integers(len(pool), size=(len(group), resamples)), np.arange(resamples)]
        total += weight * (group.mean(axis=0) + far * drawn.mean(axis=0))
    return total


def widened(pairs: int) -> float:
    """By how much deviations from the mean of so many pairs are too small for those from the true one."""
    return math.sqrt(pairs / (pairs - 1))


def student(freedom: float) -> float:
    """The two-sided 5 % point of Student's t; of the normal distribution for infinite degrees of freedom."""
    return float(special.ndtri(TAIL) if math.isinf(freedom) else special.stdtrit(freedom, TAIL))


def seed_error(over_images: np.ndarray, over_both: np.ndarray, freedom: int) -> float:
    """Standard error over seeds, from the means over resampled images (R,) and those with resampled seeds (R,)."""
    return float(np.nanstd(over_both - over_images)) * student(math.inf) / student(freedom)


def p_value(estimate: float, image_error: float, seed_error: float, images: int, freedom: int) -> float:
    """Two-sided p of a mean difference from its standard errors over images and over seeds (0 for one pair).

    Student's t with the degrees of freedom of Welch (1947) and Satterthwaite (1946), since shares of a bootstrap end at
    1 / resamples, which Holm's factor would never let pass.
    """
    variance = image_error**2 + seed_error**2
    if variance == 0:
        return 1.0 if estimate == 0 else 0.0
    parts = [(image_error**2, images - 1), (seed_error**2, freedom)]
    together = variance**2 / sum(part**2 / max(known, 1) for part, known in parts)
    return float(2 * special.stdtr(together, -abs(estimate) / math.sqrt(variance)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values of a family of comparisons (Holm 1979, Scandinavian Journal of Statistics 6(2), 65-70).

    With k rows against one baseline, one in 20 rows that change nothing would pass at 5 %; after the adjustment, one in
    20 whole tables has such a row. Holm's step-down needs no independence, which rows on the same images and against
    the same baseline lack, and is never weaker than Bonferroni's factor k. Intervals stay those of each row alone, so
    that a row reads the same in a table of two and of twenty.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, most = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        most = max(most, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = most
    return adjusted


def detectable_over_seeds(spread: float, pairs: int) -> float:
    """The difference that a two-sided paired t test at 5 % sees in 80 % of studies with so many seeds, on these images.

    `spread` is the sample standard deviation of the paired differences; noncentral t with pairs - 1 degrees of freedom.
    """
    if spread == 0:
        return 0.0
    shift = special.nctdtrinc(pairs - 1, 1 - POWER, student(pairs - 1))
    return float(shift) * spread / math.sqrt(pairs)


def detectable_over_images(image_error: float) -> float:
    """The same for these trainings on other images: 2.80 standard errors of the bootstrap over images."""
    return (student(math.inf) + float(special.ndtri(POWER))) * image_error
