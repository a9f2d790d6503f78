"""How far a share that was counted may be from the true one. No torch here."""

from scipy.special import betaincinv

from lightdet.metric.bootstrap import LEVEL


def exact_interval(found: int, of: int) -> tuple[float, float]:
    """The interval of Clopper and Pearson (1934, Biometrika 26(4), 404-413) for the share of which `found` of `of` were
    counted: it holds the true one in at least 95 % of samples, however small."""
    tail = (1 - LEVEL) / 2
    low = float(betaincinv(found, of - found + 1, tail)) if found else 0.0
    high = float(betaincinv(found + 1, of - found, 1 - tail)) if found < of else 1.0
    return low, high
