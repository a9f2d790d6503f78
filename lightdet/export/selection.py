"""The settings with which scored boxes become detections. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """See `lightdet.export.tail` for the steps."""

    thresholds: Sequence[float]  # least score that is reported, of each class
    nms_iou: float  # above it the lower scored of two boxes of a class is dropped
    overlap: float | None  # the same for two boxes of any class, in original px; None: they all stay
    max_detections: int  # per image
