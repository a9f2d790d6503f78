"""COCO-style average precision (Lin et al. 2014, arXiv 1405.0312) through torchmetrics and faster-coco-eval."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from lightdet.core.types import Detections, Target
from lightdet.metric.coco import IOU_THRESHOLDS, MAX_DETECTIONS, RECALL_POINTS, iou_index


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Interpolated precision of the classes with ground truth; a class without has no AP and is absent."""

    precision: dict[int, np.ndarray]  # label -> (10 IoU thresholds, 101 recall points) float64

    def of_class(self, label: int, iou: float | None = None) -> float | None:
        """AP of one class at one IoU threshold, or over all ten; None without ground truth."""
        table = self.precision.get(label)
        if table is None:
            return None
        return float(table.mean() if iou is None else table[iou_index(iou)].mean())

    def mean(self, iou: float | None = None) -> float | None:
        """Mean over the classes with ground truth; None if no class has any."""
        values = [value for label in self.precision if (value := self.of_class(label, iou)) is not None]
        return float(np.mean(values)) if values else None


def average_precision(detections: list[Detections], targets: list[Target]) -> AveragePrecision:
    """Boxes of both in the same frame, one entry per image. Detections in crowd regions of their class do not count."""
    if not any(len(target.labels) for target in targets):
        return AveragePrecision({})
    metric = MeanAveragePrecision(
        box_format="xyxy",
        iou_type="bbox",
        iou_thresholds=IOU_THRESHOLDS.tolist(),
        rec_thresholds=RECALL_POINTS.tolist(),
        max_detection_thresholds=[1, 10, MAX_DETECTIONS],
        extended_summary=True,
        backend="faster_coco_eval",
        sync_on_compute=False,  # the caller has gathered the images of all processes
    )
    metric.warn_on_many_detections = False
    metric.update(
        [{"boxes": d.boxes_xyxy.double(), "scores": d.scores.double(), "labels": d.labels} for d in detections],
        [_ground_truth(target) for target in targets],
    )
    result = metric.compute()
    # precision: (10 IoU, 101 recall, classes seen, 4 areas, 3 detection limits); -1: no ground truth of the class
    precision = result["precision"].numpy()[:, :, :, 0, -1]
    labels = result["classes"].reshape(-1).tolist()  # torchmetrics squeezes the list of a single class
    return AveragePrecision({k: precision[:, :, i] for i, k in enumerate(labels) if precision[:, :, i].max() > -1})


def _ground_truth(target: Target) -> dict[str, Tensor]:
    """The boxes and, after them, the crowd regions of an image, as torchmetrics takes them."""
    crowd = torch.zeros(len(target.labels) + len(target.crowd_labels), dtype=torch.int64)
    crowd[len(target.labels) :] = 1
    return {
        "boxes": torch.cat((target.boxes_xyxy, target.crowd_xyxy)).double(),
        "labels": torch.cat((target.labels, target.crowd_labels)),
        "iscrowd": crowd,
    }
