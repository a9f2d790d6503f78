"""Per-image matches, computed once, from which the mAP of any resample of the images is summed. No torch here.

The matching is COCO's (Lin et al. 2014, arXiv 1405.0312): in each image and class, best score first, a detection takes
the free ground-truth box that it overlaps most, once for every IoU threshold; of equal overlaps the later box. One that
takes none and lies in a crowd region of its class is not counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lightdet.metric.coco import IOU_THRESHOLDS, MAX_DETECTIONS


@dataclass(frozen=True, slots=True)
class ImageBoxes:
    """One image: detections (N, 6) as x1, y1, x2, y2, score, label; ground truth (M, 5) and crowd regions (K, 5) as x1,
    y1, x2, y2, label; all in the same frame, float64."""

    detections: np.ndarray
    ground_truth: np.ndarray
    crowd: np.ndarray = field(default_factory=lambda: np.zeros((0, 5)))


@dataclass(frozen=True, slots=True)
class ClassRecord:
    """All detections of one class over all images, best score first, within equal scores by image."""

    scores: np.ndarray  # (N,) float64
    images: np.ndarray  # (N,) int64, position of the image
    right: np.ndarray  # (10, N) bool, per IoU threshold: matches a ground-truth box that no better detection matches
    in_crowd: np.ndarray  # (10, N) bool, per IoU threshold: not right, and in a crowd region of its class: not counted
    positives: np.ndarray  # (I,) int64, number of ground-truth boxes of this class in each image


def match_records(images: Sequence[ImageBoxes], num_classes: int) -> list[ClassRecord]:
    """One record per class; the position of an image in `images` is its number in the records."""
    detections, detection_images = _joined([image.detections for image in images], 6)
    ground_truth, box_images = _joined([image.ground_truth for image in images], 5)
    crowd, crowd_images = _joined([image.crowd for image in images], 5)
    records = []
    for label in range(num_classes):
        mine, theirs, regions = detections[:, 5] == label, ground_truth[:, 4] == label, crowd[:, 4] == label
        records.append(
            _class_record(
                (detections[mine, :5], detection_images[mine]),
                (ground_truth[theirs, :4], box_images[theirs]),
                (crowd[regions, :4], crowd_images[regions]),
                len(images),
            )
        )
    return records


def _joined(tables: Sequence[np.ndarray], columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of all images, and for each row the position of its image."""
    rows = np.concatenate([np.zeros((0, columns)), *tables])
    return rows, np.repeat(np.arange(len(tables)), [len(table) for table in tables])


Placed = tuple[np.ndarray, np.ndarray]  # boxes of one class (K, 4 or more), and the position (K,) of each one's image


def _class_record(detections: Placed, ground_truth: Placed, crowd: Placed, count: int) -> ClassRecord:
    """Detections (N, 5), ground truth (M, 4) and crowd regions (K, 4) of one class, by image, of `count` images."""
    boxes, images = detections
    order = np.lexsort((-boxes[:, 4], images))
    boxes, images = boxes[order], images[order]
    kept = np.arange(len(images)) - np.searchsorted(images, images) < MAX_DETECTIONS
    boxes, images = boxes[kept], images[kept]
    right = np.zeros((len(IOU_THRESHOLDS), len(boxes)), bool)
    in_crowd = np.zeros_like(right)
    for number in np.intersect1d(images, ground_truth[1]):
        mine, theirs = _of_image(number, images), _of_image(number, ground_truth[1])
        right[:, mine] = match_greedily(overlaps(boxes[mine, :4], ground_truth[0][theirs]))
    for number in np.intersect1d(images, crowd[1]):
        mine, theirs = _of_image(number, images), _of_image(number, crowd[1])
        share = overlaps(boxes[mine, :4], crowd[0][theirs], crowd=True).max(axis=1)
        in_crowd[:, mine] = ~right[:, mine] & (share >= IOU_THRESHOLDS[:, None])
    order = np.argsort(-boxes[:, 4], kind="stable")
    positives = np.bincount(ground_truth[1], minlength=count)
    return ClassRecord(boxes[order, 4], images[order], right[:, order], in_crowd[:, order], positives)


def _of_image(number: int, images: np.ndarray) -> slice:
    """The places of an image in an ascending list of images."""
    return slice(*np.searchsorted(images, [number, number + 1]))


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


def overlaps(boxes: np.ndarray, ground_truth: np.ndarray, crowd: bool = False) -> np.ndarray:
    """(N, 4) and (M, 4) xyxy in one frame -> IoU (N, M), in the order of operations of the COCO tools; with crowd
    regions in place of ground truth the share of each box that lies in the region."""
    box_size, true_size = boxes[:, 2:] - boxes[:, :2], ground_truth[:, 2:] - ground_truth[:, :2]
    far = np.minimum((boxes[:, :2] + box_size)[:, None], (ground_truth[:, :2] + true_size)[None])
    shared = np.maximum(far - np.maximum(boxes[:, None, :2], ground_truth[None, :, :2]), 0).prod(axis=2)
    own = box_size.prod(axis=1)[:, None]
    union = np.broadcast_to(own, shared.shape) if crowd else own + true_size.prod(axis=1)[None] - shared
    return shared / np.where(union > 0, union, np.inf)
