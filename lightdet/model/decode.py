"""Selects detections from scored boxes: threshold, non-maximum suppression per class, best `max_detections`."""

import torch
from torch import Tensor
from torchvision.ops import nms

from lightdet.core.types import Detections
from lightdet.ops.boxes import clip

MOST_CANDIDATES = 3000  # per image, before suppression


def select(
    boxes_xyxy: Tensor,
    scores: Tensor,
    score_threshold: float,
    nms_iou: float,
    max_detections: int,
    image_shape: tuple[int, int],
) -> list[Detections]:
    """boxes (B, N, 4) px, scores (B, N, C), image_shape (height, width) px -> B detections, best first.

    A box may be kept for several classes, since mean AP counts every scored box. A score that is NaN is kept and ranks
    first, so that code that reads the detections can report a broken network.
    """
    return [
        _one_image(boxes, score, score_threshold, nms_iou, max_detections, image_shape)
        for boxes, score in zip(boxes_xyxy, scores, strict=True)
    ]


def best_of_overlapping(found: Detections, iou: float) -> Detections:
    """Of boxes that overlap by more than `iou`, whatever their classes, only the best scored."""
    kept = nms(found.boxes_xyxy, found.scores, iou)
    return Detections(found.boxes_xyxy[kept], found.scores[kept], found.labels[kept])


def _one_image(
    boxes: Tensor, scores: Tensor, score_threshold: float, nms_iou: float, limit: int, image_shape: tuple[int, int]
) -> Detections:
    place, labels = (~(scores <= score_threshold)).nonzero(as_tuple=True)  # NaN is not below it either
    score = scores[place, labels]
    if len(score) > MOST_CANDIDATES:
        score, best = score.topk(MOST_CANDIDATES)
        place, labels = place[best], labels[best]
    candidates = clip(boxes[place], *image_shape)
    apart = labels[:, None] * (2.0 * max(image_shape))  # classes do not suppress each other
    kept = nms(candidates + apart, score, nms_iou)[:limit]
    return Detections(candidates[kept], score[kept], labels[kept].to(torch.int64))
