"""Exact intervals of a share that is counted on images: Clopper and Pearson 1934 (Biometrika 26). No torch here."""

import math

from scipy.special import betaincinv


def upper_bound(count: int, of: int, confidence: float) -> float:
    """The largest share under which `count` or fewer `of` so many images are not yet less probable than
    1 - confidence: with this confidence the true share is not above it. 1 where there are no images."""
    return 1.0 if count >= of else float(betaincinv(count + 1, of - count, confidence))


def lower_bound(count: int, of: int, confidence: float) -> float:
    """The same from below; 0 where nothing is counted."""
    return 0.0 if count <= 0 else float(betaincinv(count, of - count + 1, 1 - confidence))


def interval(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Both bounds, each at half of what the confidence leaves."""
    each = (1 + confidence) / 2
    return lower_bound(count, of, each), upper_bound(count, of, each)


def images_needed(share: float, confidence: float) -> int:
    """The least number of images which, if none of them is counted, show with this confidence that the true share is
    at most `share`: (1 - share)^n <= 1 - confidence."""
    needed = max(1, math.ceil(math.log1p(-confidence) / math.log1p(-share)))
    while needed > 1 and upper_bound(0, needed - 1, confidence) <= share:
        needed -= 1
    while upper_bound(0, needed, confidence) > share:
        needed += 1
    return needed
