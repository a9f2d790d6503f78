"""Counts at one score threshold: boxes detected, missed and false; defective images that escape, good ones rejected."""

from dataclasses import dataclass

import numpy as np

from lightdet.metric.matching import Matching

DEFAULT_THRESHOLD = 0.5  # where nothing can be chosen, because no detection of any score is right


@dataclass(frozen=True, slots=True)
class Counts:
    """Boxes at a threshold. A ratio whose denominator is zero is None."""

    found: int  # ground-truth boxes with a detection of their class
    false_alarms: int  # detections without a ground-truth box of their class, and not in a crowd region of it
    missed: int  # ground-truth boxes without a detection

    @property
    def precision(self) -> float | None:
        return _ratio(self.found, self.found + self.false_alarms)

    @property
    def recall(self) -> float | None:
        return _ratio(self.found, self.found + self.missed)

    @property
    def f1(self) -> float | None:
        return _ratio(2 * self.found, 2 * self.found + self.false_alarms + self.missed)


def best_f1_threshold(matching: Matching) -> float | None:
    """The score at which F1 over the boxes of all classes together is highest.

    Precision, recall and F1 are optimistic on the images on which the threshold was chosen. For an unbiased estimate,
    choose the threshold on one set and measure on another. Of several equally good thresholds the lowest is returned,
    at which fewer defects are missed. None if no detection of any score is right.
    """
    if not matching.correct.any():
        return None
    counted = np.flatnonzero(matching.counted)
    order = counted[np.argsort(-matching.scores[counted], kind="stable")]
    scores = matching.scores[order]
    found = matching.correct[order].cumsum()
    last_of_score = np.append(scores[1:] != scores[:-1], True)  # a threshold cannot separate equal scores
    f1 = 2 * found / (np.arange(1, len(scores) + 1) + len(matching.ground_truth_labels))
    f1 = np.where(last_of_score, f1, -1.0)
    return float(scores[len(f1) - 1 - f1[::-1].argmax()])


def count(matching: Matching, threshold: float, label: int | None = None) -> Counts:
    """Boxes with a score at or above the threshold, of one class or of all together."""
    kept = (matching.scores >= threshold) & matching.counted
    boxes = len(matching.ground_truth_labels)
    if label is not None:
        kept &= matching.labels == label
        boxes = int((matching.ground_truth_labels == label).sum())
    found = int((kept & matching.correct).sum())
    return Counts(found=found, false_alarms=int(kept.sum()) - found, missed=boxes - found)


@dataclass(frozen=True, slots=True)
class Sorting:
    """Decisions of an inspection that rejects every image with a detection at or above the threshold.

    It counts images, not boxes: any detection in a defective image counts, even if its box or class is wrong. Precision
    and recall measure boxes and classes.
    """

    defective_images: int  # at least one ground-truth box or crowd region
    escaped_images: int  # of these: no detection
    good_images: int  # neither
    rejected_images: int  # of these: at least one detection

    @property
    def escape_rate(self) -> float | None:
        """Share of the defective images that are not rejected; None without defective images."""
        return _ratio(self.escaped_images, self.defective_images)

    @property
    def overkill_rate(self) -> float | None:
        """Share of the good images rejected; None without good images."""
        return _ratio(self.rejected_images, self.good_images)


def sort_images(matching: Matching, threshold: float) -> Sorting:
    """Escapes and overkill of an inspection at that threshold."""
    defective = np.zeros(matching.num_images, dtype=bool)
    defective[matching.ground_truth_images] = True
    defective[matching.crowd_images] = True
    rejected = np.zeros(matching.num_images, dtype=bool)
    rejected[matching.images[matching.scores >= threshold]] = True
    return Sorting(
        defective_images=int(defective.sum()),
        escaped_images=int((defective & ~rejected).sum()),
        good_images=int((~defective).sum()),
        rejected_images=int((~defective & rejected).sum()),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
