"""Greedy matching of detections with ground-truth boxes, used by all counts at a score threshold."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lightdet.core.types import Detections, Target
from lightdet.ops.boxes import pairwise_iou, pairwise_share

MATCH_IOU = 0.5  # least overlap of a detection with the ground-truth box that it matches
UNMATCHED = -1
IN_CROWD = -2  # in a crowd region of its class: neither right nor a false alarm


@dataclass(frozen=True, slots=True)
class Matching:
    """All detections and ground-truth boxes of a set of images, pooled.

    Matching goes from the best score down, so the detections above any threshold are matched as if there were no
    others: one matching is valid for every threshold.
    """

    scores: np.ndarray  # (N,) float64
    labels: np.ndarray  # (N,) int64
    images: np.ndarray  # (N,) int64, index of the image
    matches: np.ndarray  # (N,) int64, index of the ground-truth box in that image; UNMATCHED: false alarm; IN_CROWD
    ground_truth_labels: np.ndarray  # (M,) int64
    ground_truth_images: np.ndarray  # (M,) int64
    crowd_images: np.ndarray  # (K,) int64, of the crowd regions
    num_images: int

    @property
    def correct(self) -> np.ndarray:
        """(N,) bool: the detection matches a ground-truth box that no better detection matches."""
        return self.matches >= 0

    @property
    def counted(self) -> np.ndarray:
        """(N,) bool: the detection is right or a false alarm."""
        return self.matches != IN_CROWD


def greedy(iou: np.ndarray, scores: np.ndarray, minimum_iou: float = MATCH_IOU) -> np.ndarray:
    """Matches each detection, best score first, with the unmatched ground-truth box that it overlaps most.

    iou (N, M), scores (N,) -> (N,) int64 index of the ground-truth box or UNMATCHED. Equal scores keep their order.
    """
    matched = np.full(len(scores), UNMATCHED, dtype=np.int64)
    if iou.size == 0:
        return matched
    free = np.where(iou >= minimum_iou, iou, -1.0)
    able = free.max(axis=1) >= 0
    for row in np.argsort(-scores, kind="stable"):
        if not able[row]:
            continue
        column = int(free[row].argmax())
        if free[row, column] >= 0:
            matched[row] = column
            free[:, column] = -1.0
    return matched


def double(values: Tensor) -> np.ndarray:
    """A tensor as a float64 array, so that a threshold read from JSON equals the score it was taken from."""
    return values.detach().cpu().double().numpy()


def overlaps(detections: Detections, target: Target) -> np.ndarray:
    """(N, M) float64 IoU of an image's detections with its ground-truth boxes."""
    return pairwise_iou(detections.boxes_xyxy.double(), target.boxes_xyxy.double()).cpu().numpy()


def match_image(detections: Detections, target: Target, minimum_iou: float = MATCH_IOU) -> np.ndarray:
    """Matches within one image and class: (N,) int64 index of the ground-truth box, UNMATCHED or IN_CROWD."""
    same_class = (detections.labels[:, None] == target.labels[None, :]).cpu().numpy()
    iou = np.where(same_class, overlaps(detections, target), -1.0)
    matched = greedy(iou, double(detections.scores), minimum_iou)
    if len(target.crowd_labels):
        share = pairwise_share(detections.boxes_xyxy.double(), target.crowd_xyxy.double())
        inside = (share >= minimum_iou) & (detections.labels[:, None] == target.crowd_labels[None, :])
        matched[(matched == UNMATCHED) & inside.any(dim=1).cpu().numpy()] = IN_CROWD
    return matched


def match(detections: list[Detections], targets: list[Target], minimum_iou: float = MATCH_IOU) -> Matching:
    """Match a set of images, one entry per image in both lists; boxes of both in the same frame."""
    counts = [len(found.labels) for found in detections]
    ground_truth_counts = [len(target.labels) for target in targets]
    pairs = list(zip(detections, targets, strict=True))
    return Matching(
        scores=_join([double(found.scores) for found in detections], np.float64),
        labels=_join([found.labels.cpu().numpy() for found in detections], np.int64),
        images=np.repeat(np.arange(len(counts)), counts),
        matches=_join([match_image(found, target, minimum_iou) for found, target in pairs], np.int64),
        ground_truth_labels=_join([target.labels.cpu().numpy() for target in targets], np.int64),
        ground_truth_images=np.repeat(np.arange(len(ground_truth_counts)), ground_truth_counts),
        crowd_images=np.flatnonzero([len(target.crowd_labels) for target in targets]),
        num_images=len(targets),
    )


def _join(parts: list[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate(parts).astype(kind) if parts else np.zeros(0, dtype=kind)
