"""Per-image matches, computed once, from which the mAP of any resample of the images is summed. No torch here.

The matching is COCO's (Lin et al. 2014, arXiv 1405.0312): in each image and class, best score first, a detection takes
the free ground-truth box that it overlaps most, once for every IoU threshold; of equal overlaps the later box.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightdet.metric.coco import IOU_THRESHOLDS, MAX_DETECTIONS


@dataclass(frozen=True, slots=True)
class ImageBoxes:
    """One image: detections (N, 6) as x1, y1, x2, y2, score, label and ground truth (M, 5) as x1, y1, x2, y2, label;
    both in the same frame, float64."""

    detections: np.ndarray
    ground_truth: np.ndarray


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """All detections of one class over all images, best score first, within equal scores by image."""

    scores: np.ndarray  # (N,) float64
    images: np.ndarray  # (N,) int64, position of the image
    right: np.ndarray  # (10, N) bool, per IoU threshold: matches a ground-truth box that no better detection matches
    positives: np.ndarray  # (I,) int64, number of ground-truth boxes of this class in each image


def match_records(images: Sequence[ImageBoxes], num_classes: int) -> list[ClassRecord]:
    """One record per class; the position of an image in `images` is its number in the records."""
    detections, detection_images = _joined([image.detections for image in images], 6)
    ground_truth, box_images = _joined([image.ground_truth for image in images], 5)
    records = []
    for label in range(num_classes):
        mine, theirs = detections[:, 5] == label, ground_truth[:, 4] == label
        records.append(
            _class_record(
                detections[mine, :5], detection_images[mine], ground_truth[theirs, :4], box_images[theirs], len(images)
            )
        )
    return records


def _joined(tables: Sequence[np.ndarray], columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of all images, and for each row the position of its image."""
    rows = np.concatenate([np.zeros((0, columns)), *tables])
    return rows, np.repeat(np.arange(len(tables)), [len(table) for table in tables])


def _class_record(
    boxes: np.ndarray, images: np.ndarray, ground_truth: np.ndarray, box_images: np.ndarray, count: int
) -> ClassRecord:
    """Detections (N, 5) and ground truth (M, 4) of one class, both by image."""
    order = np.lexsort((-boxes[:, 4], images))
    boxes, images = boxes[order], images[order]
    kept = np.arange(len(images)) - np.searchsorted(images, images) < MAX_DETECTIONS
    boxes, images = boxes[kept], images[kept]
    right = np.zeros((len(IOU_THRESHOLDS), len(boxes)), bool)
    for number in np.intersect1d(images, box_images):
        mine, theirs = (slice(*np.searchsorted(numbers, [number, number + 1])) for numbers in (images, box_images))
        right[:, mine] = match_greedily(overlaps(boxes[mine, :4], ground_truth[theirs]))
    order = np.argsort(-boxes[:, 4], kind="stable")
    return ClassRecord(boxes[order, 4], images[order], right[:, order], np.bincount(box_images, minlength=count))


def match_greedily(iou: np.ndarray) -> np.ndarray:
    """IoU (N, M) of detections, best first, with ground truth -> (10, N) bool: matched at each threshold."""
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


def overlaps(boxes: np.ndarray, ground_truth: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) xyxy in one frame -> IoU (N, M), in the order of operations of the COCO tools."""
    box_size, true_size = boxes[:, 2:] - boxes[:, :2], ground_truth[:, 2:] - ground_truth[:, :2]
    far = np.minimum((boxes[:, :2] + box_size)[:, None], (ground_truth[:, :2] + true_size)[None])
    shared = np.maximum(far - np.maximum(boxes[:, None, :2], ground_truth[None, :, :2]), 0).prod(axis=2)
    union = box_size.prod(axis=1)[:, None] + true_size.prod(axis=1)[None] - shared
    return shared / np.where(union > 0, union, np.inf)
