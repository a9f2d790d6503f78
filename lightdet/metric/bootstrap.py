"""Bootstrap over images: how much mean average precision varies with the choice of images.

The bootstrap of Efron (1979) over images: each resample draws as many images as there are, with replacement, and every
detector that is compared is measured on the same resamples (paired). An image drawn k times counts as k images. No
torch here.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lightdet.metric import detection_scores
from lightdet.metric.coco import RECALL_POINTS, iou_index
from lightdet.metric.match_record import ClassRecord

LEVEL = 0.95  # of the intervals
CELLS = 4_000_000  # resamples x detections held in memory at once
MEANS = tuple(score.key for score in detection_scores.MEANS)  # of what `mean_precisions` returns


def draw(num_images: int, resamples: int, seed: int = 0) -> np.ndarray:
    """(R, I) int64: how often each image was drawn in each resample."""
    share = np.full(num_images, 1 / num_images)
    return np.random.default_rng(seed).multinomial(num_images, share, size=resamples)


def mean_precisions(records: Sequence[ClassRecord], counts: np.ndarray) -> np.ndarray:
    """counts (R, I) -> (R, 3): the scores of `MEANS` over the classes with ground truth; NaN where no class has any."""
    table = class_precisions(records, counts)
    exists = ~np.isnan(table[:, :, 0])
    total = np.where(exists[:, :, None], table, 0).sum(axis=1)
    classes = exists.sum(axis=1)[:, None]
    mean = np.where(classes > 0, total / np.maximum(classes, 1), np.nan)
    return np.stack([mean[:, iou_index(0.5)], mean[:, iou_index(0.75)], mean.mean(axis=1)], axis=1)


def class_precisions(records: Sequence[ClassRecord], counts: np.ndarray) -> np.ndarray:
    """counts (R, I) -> average precision (R, C, 10), interpolated at COCO's 101 recalls; NaN without ground truth."""
    return np.stack([_in_pieces(record, counts) for record in records], axis=1)


def _in_pieces(record: ClassRecord, counts: np.ndarray) -> np.ndarray:
    if not record.positives.any():
        return np.full((len(counts), len(record.right)), np.nan)
    if record.in_crowd.any():  # another ranking at every IoU threshold
        levels = [_counted_at(record, level) for level in range(len(record.right))]
        return np.concatenate([_in_pieces(at_level, counts) for at_level in levels], axis=1)
    images, copies, right = _unfolded(record, int(counts.max()))
    step = max(1, CELLS // max(1, len(images)))
    pieces = [counts[start : start + step] for start in range(0, len(counts), step)]
    return np.concatenate([_precisions(piece, images, copies, right, record.positives) for piece in pieces])


def _counted_at(record: ClassRecord, level: int) -> ClassRecord:
    """The record at one IoU threshold, without the detections in crowd regions."""
    kept = ~record.in_crowd[level]
    none = np.zeros((1, int(kept.sum())), bool)
    return replace(
        record,
        scores=record.scores[kept],
        images=record.images[kept],
        right=record.right[level : level + 1, kept],
        in_crowd=none,
    )


def _unfolded(record: ClassRecord, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, copies and matches of a record's detections; -1 where a detection counts for all copies of its image.

    An image drawn twice puts its detections twice into the ranking, next to each other. Only where an image has
    several equal scores, a right one among them, does it matter that its copies follow one another as wholes: a b a b
    and not a a b b.
    """
    same = (np.diff(record.scores) == 0) & (np.diff(record.images) == 0)
    block = np.concatenate([[0], np.cumsum(~same)]) if len(record.scores) else np.zeros(0, np.int64)
    number = block[-1] + 1 if len(block) else 0
    several = np.bincount(block, minlength=number) > 1
    some_right = np.bincount(block, weights=record.right.any(axis=0), minlength=number) > 0
    folded = (several & some_right)[block]
    if most < 2 or not folded.any():
        return record.images, np.full(len(block), -1), record.right
    repeats = np.where(folded, most, 1)
    source = np.repeat(np.arange(len(block)), repeats)
    copy = np.arange(len(source)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    order = np.lexsort((source, copy, block[source]))
    source, copy = source[order], np.where(folded[source], copy, -1)[order]
    return record.images[source], copy, record.right[:, source]


def _precisions(
    counts: np.ndarray, images: np.ndarray, copies: np.ndarray, right: np.ndarray, boxes: np.ndarray
) -> np.ndarray:
    """(R, 10) average precision of one class, `boxes` (I,): its ground-truth boxes in each image.

    Precision rises only at right detections, so only they are evaluated. A right detection whose image was not drawn
    adds no recall, and leaves the interpolated precision at the others unchanged.
    """
    places = np.flatnonzero(right.any(axis=0))
    weights = _weights(counts, images[places], copies[places])
    ranked = _ranked(counts, images, copies, places)
    positives = counts @ boxes
    result = np.zeros((len(counts), len(right)))
    for level, hits in enumerate(right[:, places]):
        detected = weights[:, hits].cumsum(axis=1)
        precision = detected / np.maximum(ranked[:, hits], 1)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        bins = np.diff(_reached(detected, positives), axis=1, prepend=0)
        result[:, level] = (envelope * bins).sum(axis=1) / len(RECALL_POINTS)
    result[positives == 0] = np.nan
    return result


def _weights(counts: np.ndarray, images: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """(R, N): how often each detection occurs in the ranking of each resample."""
    weights = counts[:, images]
    single = copies >= 0
    weights[:, single] = weights[:, single] > copies[single]
    return weights


def _ranked(counts: np.ndarray, images: np.ndarray, copies: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(R, P): how many detections of a resample are at each place or before it.

    One product of how often an image was drawn with how many detections it has up to there; those of one
    copy alone count by themselves. Whole numbers, exact in the float type that is taken.
    """
    before = np.searchsorted(places, np.arange(len(images)))  # the first place that counts a detection
    single = np.flatnonzero(copies >= 0)
    many = np.flatnonzero((copies < 0) & (before < len(places)))
    exact = np.float32 if len(images) * int(counts.max()) < 2**24 else np.float64
    ahead = np.zeros((counts.shape[1] + len(single), len(places) + 1), exact)
    np.add.at(ahead, (images[many], before[many]), 1)
    ahead[counts.shape[1] + np.arange(len(single)), before[single]] = 1
    drawn = np.concatenate([counts, _weights(counts, images[single], copies[single])], axis=1)
    return drawn.astype(exact) @ ahead[:, :-1].cumsum(axis=1)


def _reached(detected: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """detected (R, P) of positives (R,) ground-truth boxes -> how many of COCO's recalls are reached."""
    most = int(positives.max())
    if (most + 1) ** 2 > detected.size:
        return np.searchsorted(RECALL_POINTS, detected / np.maximum(positives, 1)[:, None], side="right")
    shares = np.arange(most + 1) / np.maximum(np.arange(most + 1), 1)[:, None]
    return np.searchsorted(RECALL_POINTS, shares, side="right")[positives[:, None], detected]


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of a statistic over the resamples; those in which it does not exist are left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
