"""How well the score of one class ranks images: average precision, the area under the ROC, the best threshold.

No torch here. `scores` (N,) float64, `shown` (N,) bool: whether an image has the class.
"""

import numpy as np


def average_precision(scores: np.ndarray, shown: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean of the precision at each recall that is reached, with equal scores as one step.

    `counts` (R, N): how often each image counts in each of R resamples; ones: every image once. Returns (R,), NaN
    where no image that counts has the class.
    """
    order, last = _ranked(scores)
    found = (counts[:, order] * shown[order]).cumsum(axis=1)[:, last]
    seen = counts[:, order].cumsum(axis=1)[:, last]
    steps = np.diff(found, axis=1, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (steps * found / np.maximum(seen, 1)).sum(axis=1) / found[:, -1:].sum(axis=1)


def auroc(scores: np.ndarray, shown: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The share of pairs, one image with the class and one without, that are in order; equal scores are half in order.

    `counts` (R, N), as for `average_precision`. Returns (R,), NaN where the images that count all have it, or none has.
    """
    order, last = _ranked(scores)
    found = (counts[:, order] * shown[order]).cumsum(axis=1)[:, last]
    others = (counts[:, order] * ~shown[order]).cumsum(axis=1)[:, last]
    before = found - np.diff(found, axis=1, prepend=0) / 2  # with the class and ranked higher, half of the equal ones
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.diff(others, axis=1, prepend=0) * before).sum(axis=1) / (found[:, -1:] * others[:, -1:]).sum(axis=1)


def best_threshold(scores: np.ndarray, shown: np.ndarray) -> tuple[float, float] | None:
    """The score at and above which a yes gives the best F1, and that F1; the lowest of equally good ones, so that fewer
    are missed. None where no image has the class. It flatters the images on which it is chosen."""
    if not shown.any():
        return None
    order, last = _ranked(scores)
    f1 = (2 * shown[order].cumsum() / (np.arange(1, len(scores) + 1) + shown.sum()))[last]
    best = len(f1) - 1 - int(f1[::-1].argmax())
    return float(scores[order][last][best]), float(f1[best])


def known(value: float) -> float | None:
    """A number of a report; None for NaN."""
    return None if np.isnan(value) else float(value)


def _ranked(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order from the greatest score, and the places in it where a threshold may lie: not between equal scores."""
    order = np.argsort(-scores, kind="stable")
    return order, np.append(np.diff(scores[order]) != 0, True)[: len(scores)]
