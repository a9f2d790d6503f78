"""The largest threshold whose escapes are bounded, with the promise that it gives. No torch here.

A defective part escapes where its score is below the threshold. Three promises, each for parts that are drawn as the
images were:

- with confidence: the share of defective parts that escape is at most `escape`, in all but 1 - confidence of the sets
  of images on which a threshold could be chosen. The hypotheses "at this threshold more than `escape` escape" are
  tested from the strictest threshold upwards, each by the exact binomial test, until one is not rejected; as they are
  nested, no correction for their number is due (learn then test: Angelopoulos et al. 2021, arXiv 2110.01052,
  fixed-sequence testing). The test at a threshold depends on the number of escapes alone, so the last threshold that
  passes is an order statistic of the scores: the bound of Wilks 1941 for tolerance limits.
- with confidence, of a lot: the same of the next so many defective parts, whose escapes vary by chance, too.
- expected: the share of defective parts that escape is at most `escape` on average over such sets (conformal risk
  control: Angelopoulos et al. 2022, arXiv 2208.02814, eq. 4, B = 1).
- expected, of boxes: the same with the share of an image's boxes that are missed as the loss. Boxes of one image are
  related, so the image is what is drawn, and counts once.
"""

import math

import numpy as np
from scipy.special import gammaln

from lightdet.metric.exact_interval import upper_bound

ROUNDING = 1e-5  # share by which a threshold lies below the score that decides it: another runtime rounds otherwise


def escapes_allowed(images: int, escape: float, confidence: float, lot: int | None = None) -> int:
    """How many of so many defective images may escape with confidence; -1: too few images for any. lot: the promise is
    about so many further defective parts, not about all that there will ever be."""
    count = -1
    while count + 1 < images:
        if lot is None and upper_bound(count + 1, images, confidence) > escape:
            break
        if lot is not None and _lot_exceeds(count + 1, images, escape, lot) > (1 - confidence) * (1 + 1e-9):
            break
        count += 1
    return count


def _lot_exceeds(count: int, images: int, escape: float, lot: int) -> float:
    """The probability that of `lot` further scores more than their share `escape` lie below the (count + 1)th smallest
    of `images` scores: negative hypergeometric (Wilks 1942), exact where every order of the scores is as probable."""
    more = np.arange(math.floor(escape * lot * (1 + 1e-12)) + 1, lot + 1)
    ways = _log_choose(more + count, more) + _log_choose(lot - more + images - count - 1, lot - more)
    return float(np.exp(ways - _log_choose(np.array(images + lot), np.array(lot))).sum())


def _log_choose(of: np.ndarray, count: np.ndarray) -> np.ndarray:
    logs: np.ndarray = gammaln(of + 1) - gammaln(count + 1) - gammaln(of - count + 1)
    return logs


def escapes_expected(images: int, escape: float) -> int:
    """The same for the promise in expectation: (escapes + 1) / (images + 1) <= escape."""
    return min(math.floor(escape * (images + 1) * (1 + 1e-12)) - 1, images - 1)


def threshold_at(scores: np.ndarray, allowed: int) -> float | None:
    """The largest threshold at which at most `allowed` of the scores (N,) are below it, lowered by ROUNDING; None where
    there is none, as more images than that have no score at all."""
    if not 0 <= allowed < len(scores):
        return None
    score = float(np.sort(scores)[allowed])
    return lowered(score) if math.isfinite(score) else None


def box_threshold(found: np.ndarray, weights: np.ndarray, images: int, escape: float) -> float | None:
    """The largest threshold at which (missed + 1) / (images + 1) <= escape, where `missed` sums the shares of each
    image's boxes that are not found.

    found (K,): scores of right boxes; weights (K,): of each, 1 / boxes of its image; images: those with boxes.
    """
    order = np.argsort(-found, kind="stable")
    missed = images - np.cumsum(weights[order])
    kept = (missed + 1) / (images + 1) <= escape + 1e-12
    return lowered(float(found[order][int(kept.argmax())])) if kept.any() else None


def missed_share(found: np.ndarray, weights: np.ndarray, images: int, threshold: float) -> float:
    """The mean over images of the share of their boxes that are missed at a threshold; as for `box_threshold`."""
    return 1 - float(weights[found >= threshold].sum()) / images


def lowered(score: float) -> float:
    """A threshold that a rounded form of this score still reaches."""
    return min(1.0, max(0.0, score * (1 - ROUNDING)))
