"""The scores of classifiers that are no ratios of sums over images, on any resample of the images. No torch here.

N images, C classes. `counts` (R, N): how often each image counts in each of R resamples; ones: every image once. Each
score is (R,), over the classes that a resample shows, and NaN where it shows none.
"""

import warnings
from collections.abc import Callable

import numpy as np

from lightdet.metric.calibration import bin_gaps
from lightdet.metric.classification_scores import AUROC, AVERAGE_PRECISION, BALANCED, ECE, G_MEAN
from lightdet.metric.multi_label_scores import HALF, MACRO_F1, MEAN_AP
from lightdet.metric.ranking import auroc, average_precision

CELLS = 4_000_000  # resamples x images held in memory at once
OF_ONE_CLASS = (BALANCED.key, G_MEAN.key, AUROC.key, AVERAGE_PRECISION.key, ECE.key)
OF_SEVERAL_CLASSES = (MEAN_AP.key, MACRO_F1.key, AUROC.key, ECE.key)
Ranking = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def of_one_class(probabilities: np.ndarray, labels: np.ndarray, right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The scores `OF_ONE_CLASS` (R, 5) of images with a class each. `labels` (N,); `right` (N,): 1.0 where the decision
    is right, which follows costs and is not always the most probable class."""
    shown = labels[:, None] == np.arange(probabilities.shape[1])
    gaps = bin_gaps(probabilities, labels)

    def scores(drawn: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            recalls = (drawn @ (shown * right[:, None])) / (drawn @ shown)
            g_mean = np.exp(_mean(np.log(recalls)))
        auc, precision = (one_against_rest(rank, probabilities, shown, drawn) for rank in (auroc, average_precision))
        return np.stack([_mean(recalls), g_mean, auc, precision, _calibration_error(gaps, drawn, 1)], axis=1)

    return _in_pieces(scores, counts)


def of_several_classes(probabilities: np.ndarray, shown: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The scores `OF_SEVERAL_CLASSES` (R, 4) of images with any number of classes. `shown` (N, C) bool."""
    classes = probabilities.shape[1]
    yes = probabilities >= HALF
    answers, truths = as_answers(probabilities), shown.ravel().astype(np.int64)
    gaps = bin_gaps(answers, truths).reshape(len(shown), classes, -1).sum(axis=1)

    def scores(drawn: np.ndarray) -> np.ndarray:
        ranks = [average_precision(probabilities[:, k], shown[:, k], drawn) for k in range(classes)]
        with np.errstate(invalid="ignore", divide="ignore"):
            f1 = 2 * (drawn @ (yes & shown)) / (drawn @ (yes.astype(float) + shown))
        f1[drawn @ shown == 0] = np.nan
        auc = one_against_rest(auroc, probabilities, shown, drawn)
        means = _mean(np.stack(ranks, axis=1)), _mean(f1)
        return np.stack([*means, auc, _calibration_error(gaps, drawn, classes)], axis=1)

    return _in_pieces(scores, counts)


def one_against_rest(ranking: Ranking, probabilities: np.ndarray, shown: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean of a score of `ranking.py` over the classes that some images show and others do not: (R,)."""
    values = np.stack([ranking(probabilities[:, k], shown[:, k], counts) for k in range(shown.shape[1])], axis=1)
    with_class = counts @ shown
    values[(with_class == 0) | (with_class == counts.sum(axis=1)[:, None])] = np.nan
    return _mean(values)


def as_answers(probabilities: np.ndarray) -> np.ndarray:
    """(N, C) -> (N * C, 2): each answer as the probabilities of no and yes."""
    yes = probabilities.ravel()
    return np.stack((1 - yes, yes), axis=1)


def _calibration_error(gaps: np.ndarray, counts: np.ndarray, answers: int) -> np.ndarray:
    """`gaps` (N, bins) of an image, which has so many answers."""
    return np.asarray(np.abs(counts @ gaps).sum(axis=1) / (counts.sum(axis=1) * answers))


def _mean(values: np.ndarray) -> np.ndarray:
    """(R, C) -> (R,): over what is not NaN; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a resample that shows no class
        return np.asarray(np.nanmean(values, axis=1))


def _in_pieces(scores: Callable[[np.ndarray], np.ndarray], counts: np.ndarray) -> np.ndarray:
    step = max(1, CELLS // counts.shape[1])
    return np.concatenate([scores(counts[start : start + step].astype(float)) for start in range(0, len(counts), step)])
