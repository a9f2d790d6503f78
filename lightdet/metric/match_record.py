"""Per-image matches, made once and kept: from them the mAP of any resample of the images is sums alone. No torch here.

The matching is COCO's (Lin et al. 2014, arXiv 1405.0312): in each image and class, best score first, a detection takes
the free truth that it overlaps most, once for every IoU threshold; of equal overlaps the later truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightdet.metric.coco import IOU_THRESHOLDS, MAX_DETECTIONS


@dataclass(frozen=True, slots=True)
class ImageBoxes:
    """One image: detections (N, 6) as x1, y1, x2, y2, score, label and truth (M, 5) as x1, y1, x2, y2, label; both in
    the same frame, float64."""

    detections: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """All detections of one class over all images, best score first, within equal scores by image."""

    scores: np.ndarray  # (N,) float64
    images: np.ndarray  # (N,) int64, position of the image
    right: np.ndarray  # (10, N) bool, per IoU threshold: found a truth that no better detection had found
    truths: np.ndarray  # (I,) int64, truth boxes of this class in each image


def match_records(images: Sequence[ImageBoxes], num_classes: int) -> list[ClassRecord]:
    """One record per class; the position of an image in `images` is its number in the records."""
    return [_class_record(images, label) for label in range(num_classes)]


def _class_record(images: Sequence[ImageBoxes], label: int) -> ClassRecord:
    scores, numbers, right = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros((len(IOU_THRESHOLDS), 0), bool)]
    truths = np.zeros(len(images), np.int64)
    for number, image in enumerate(images):
        truth = image.truth[image.truth[:, 4] == label, :4]
        found = image.detections[image.detections[:, 5] == label]
        found = found[np.argsort(-found[:, 4], kind="stable")][:MAX_DETECTIONS]
        truths[number] = len(truth)
        scores.append(found[:, 4])
        numbers.append(np.full(len(found), number))
        able = len(found) and len(truth)
        right.append(match_greedily(overlaps(found[:, :4], truth) if able else np.zeros((len(found), 0))))
    joined = np.concatenate(scores)
    order = np.argsort(-joined, kind="stable")
    return ClassRecord(joined[order], np.concatenate(numbers)[order], np.concatenate(right, axis=1)[:, order], truths)


def match_greedily(iou: np.ndarray) -> np.ndarray:
    """IoU (N, M) of detections, best first, with truths -> (10, N) bool: right at each threshold."""
    right = np.zeros((len(IOU_THRESHOLDS), len(iou)), bool)
    if not iou.size:
        return right
    free = np.ones((len(IOU_THRESHOLDS), iou.shape[1]), bool)
    rows = np.arange(len(IOU_THRESHOLDS))
    for number in np.flatnonzero(iou.max(axis=1) >= IOU_THRESHOLDS[0]):
        able = np.where(free & (iou[number] >= IOU_THRESHOLDS[:, None]), iou[number], -1.0)
        best = able.shape[1] - 1 - able[:, ::-1].argmax(axis=1)
        right[:, number] = able[rows, best] >= 0
        free[rows[right[:, number]], best[right[:, number]]] = False
    return right


def overlaps(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) xyxy in one frame -> IoU (N, M), in the order of operations of the COCO tools."""
    found_size, truth_size = found[:, 2:] - found[:, :2], truth[:, 2:] - truth[:, :2]
    far = np.minimum((found[:, :2] + found_size)[:, None], (truth[:, :2] + truth_size)[None])
    shared = np.maximum(far - np.maximum(found[:, None, :2], truth[None, :, :2]), 0).prod(axis=2)
    union = found_size.prod(axis=1)[:, None] + truth_size.prod(axis=1)[None] - shared
    return shared / np.where(union > 0, union, np.inf)
