"""The confusion matrix of a detector: counts of boxes by true and predicted class."""

import numpy as np

from lightdet.core.types import Detections, Target
from lightdet.metric.matching import IN_CROWD, MATCH_IOU, UNMATCHED, double, greedy, match_image, overlaps


def confusion_matrix(
    detections: list[Detections],
    targets: list[Target],
    num_classes: int,
    threshold: float,
    minimum_iou: float = MATCH_IOU,
) -> np.ndarray:
    """(C + 1, C + 1) int64 counts of boxes; rows: ground truth, columns: prediction, the last of each: background.

    Boxes are first matched within each class, so the diagonal holds exactly the boxes that precision and recall count
    as detected. The remaining boxes are matched regardless of class: a detection that matches a ground-truth box of
    another class is a confusion of the two. Boxes that remain unmatched are false alarms (last row) or misses (last
    column). So a row sums to the ground-truth boxes of a class, a column to its detections at or above the threshold;
    those in crowd regions of their class are left out.
    """
    matrix = np.zeros((num_classes + 1, num_classes + 1), dtype=np.int64)
    for found, target in zip(detections, targets, strict=True):
        kept = found.scores.double() >= threshold
        found = Detections(found.boxes_xyxy[kept], found.scores[kept], found.labels[kept])
        _add_image(matrix, found, target, minimum_iou)
    return matrix


def _add_image(matrix: np.ndarray, found: Detections, target: Target, minimum_iou: float) -> None:
    background = len(matrix) - 1
    predicted, true = found.labels.cpu().numpy(), target.labels.cpu().numpy()
    matched = match_image(found, target, minimum_iou)
    free_detections = np.flatnonzero(matched == UNMATCHED)
    free_boxes = np.setdiff1d(np.arange(len(true)), matched)
    leftover_iou = overlaps(found, target)[np.ix_(free_detections, free_boxes)]
    confused = greedy(leftover_iou, double(found.scores)[free_detections], minimum_iou)
    hit = confused != UNMATCHED
    matched[free_detections[hit]] = free_boxes[confused[hit]]

    true_or_background = np.append(true, background)  # UNMATCHED is -1: the last
    counted = matched != IN_CROWD
    np.add.at(matrix, (true_or_background[matched[counted]], predicted[counted]), 1)
    missed = np.setdiff1d(np.arange(len(true)), matched)
    np.add.at(matrix, (true[missed], background), 1)
