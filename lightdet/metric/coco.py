"""IoU thresholds, recalls and detection limit of COCO's mAP (Lin et al. 2014, arXiv 1405.0312). No torch here."""

import numpy as np

# Spelled out in double precision: torchmetrics' own defaults pass through float32, where 0.6 becomes 0.60000002, and a
# recall of exactly 0.6 then misses its bin.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100  # best ones per image and class, as COCO counts them


def iou_index(iou: float) -> int:
    """Index of an IoU among the thresholds."""
    return int(np.abs(IOU_THRESHOLDS - iou).argmin())
