"""From input px back to original px, in which metrics, pictures and files give boxes."""

import torch

from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections, Letterbox, Target
from lightdet.ops.frames import boxes_to_original


def check_finite(found: Detections, name: str) -> None:
    """Raises LightdetError, which begins with the image's `name`, for a box or score that is NaN or infinite."""
    if not (found.boxes_xyxy.isfinite().all() and found.scores.isfinite().all()):
        raise LightdetError(f"{name}: the detector gave a box or score that is NaN or infinite")


def detections_to_original(detections: Detections, placed: Letterbox) -> Detections:
    """Detections in input px -> the same in original px, on the CPU; `placed` is the letterbox of their image.

    A box that lies in the grey border alone is dropped.
    """
    boxes_xyxy = boxes_to_original(detections.boxes_xyxy.detach().float().cpu(), placed)
    inside = (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(dim=1) | boxes_xyxy.isnan().any(dim=1)
    scores = detections.scores.detach().float().cpu()
    return Detections(boxes_xyxy[inside], scores[inside], detections.labels.detach().cpu()[inside])


def target_to_original(target: Target) -> Target:
    """Ground truth in input px -> the same in original px, on the CPU; it keeps its letterbox."""
    boxes_xyxy, crowd_xyxy = (
        boxes_to_original(boxes.detach().to(torch.float32).cpu(), target.letterbox)
        for boxes in (target.boxes_xyxy, target.crowd_xyxy)
    )
    return Target(
        boxes_xyxy,
        target.labels.detach().cpu(),
        target.image_id,
        target.letterbox,
        crowd_xyxy=crowd_xyxy,
        crowd_labels=target.crowd_labels.detach().cpu(),
    )
