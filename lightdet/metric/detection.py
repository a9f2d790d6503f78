"""The metric of object detection, for validation during training and for evaluation."""

from collections.abc import Sequence
from typing import Any

import torch

from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections, Target
from lightdet.distributed.gather import gather_images
from lightdet.metric.average_precision import AveragePrecision, average_precision
from lightdet.metric.coco import RECALL_POINTS
from lightdet.metric.confusion import confusion_matrix
from lightdet.metric.contract import Metric
from lightdet.metric.detection_scores import DETECTION_SCORES, MAP50, MAP50_95, MAP75
from lightdet.metric.detection_text import metrics_text
from lightdet.metric.frame import check_finite, detections_to_original, target_to_original
from lightdet.metric.matching import MATCH_IOU, Matching, match
from lightdet.metric.operating_point import DEFAULT_THRESHOLD, best_f1_threshold, count, sort_images


class DetectionMetric(Metric):
    """COCO's average precision, and counts at an operating point, in original px.

    `images`: the detections and ground truth of each image so far, both in original px.
    """

    scores = DETECTION_SCORES
    files = "lightdet.draw.detection_files:write_files"
    drawings = "lightdet.draw.detection_files:draw_files"

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.images: list[tuple[Detections, Target]] = []

    def reset(self) -> None:
        self.images = []

    def update(self, predictions: Sequence[Detections], targets: Sequence[Target]) -> None:
        """One entry per image in both, boxes in input px. A box that lies in the grey border alone is dropped.

        Raises LightdetError for boxes or scores that are not finite and for labels that are not a class.
        """
        if len(predictions) != len(targets):
            raise LightdetError(f"metric: {len(predictions)} detections for {len(targets)} targets; give one per image")
        for detections, target in zip(predictions, targets, strict=True):
            self.add(detections_to_original(detections, target.letterbox), target_to_original(target))

    def add(self, detections: Detections, target: Target) -> None:
        """Adds one image, boxes in original px, on the CPU. Raises as `update` does."""
        check_finite(detections, target.image_id)
        labels = torch.cat((detections.labels, target.labels))
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
            names = ", ".join(self.classes)
            raise LightdetError(f"{target.image_id}: a label outside 0..{len(self.classes) - 1}; classes: {names}")
        self.images.append((detections, target))

    def compute(self, full: bool = True, threshold: float | None = None) -> dict[str, Any]:
        """The scores as plain JSON types; None where a score does not exist (a class without ground truth has no AP).

        full=False computes what an epoch needs: map50, map75, map50_95, images, and per_class with ap50, ap75,
        ap50_95, truths (ground-truth boxes) and predictions (boxes of any score). full=True adds found, false_alarms,
        missed, precision, recall and f1 per class, operating_point, confusion, curves and images_without_finding (ids
        of the images without a box that reaches the threshold), all at IoU 0.5 and at `threshold`; None: at the best
        one for these images (see `best_f1_threshold`).
        """
        detections, targets = self._gather()
        found = average_precision(detections, targets)
        report: dict[str, Any] = {
            MAP50.key: found.mean(0.5),
            MAP75.key: found.mean(0.75),
            MAP50_95.key: found.mean(),
            "per_class": self._per_class(found, detections, targets),
            "images": len(targets),
        }
        if not full:
            return report
        matching = match(detections, targets)
        chosen, reason = _choose(matching, threshold)
        for label, name in enumerate(self.classes):
            report["per_class"][name] |= _boxes_at(matching, chosen, label)
        matrix = confusion_matrix(detections, targets, len(self.classes), chosen)
        report["operating_point"] = _operating_point(matching, chosen, reason)
        report["confusion"] = {"matrix": matrix.tolist(), "threshold": chosen, "iou": MATCH_IOU}
        report["curves"] = {
            self.classes[label]: {"recall": RECALL_POINTS.tolist(), "precision": precision[0].tolist()}
            for label, precision in found.precision.items()
        }
        report["images_without_finding"] = [
            target.image_id
            for one, target in zip(detections, targets, strict=True)
            if not (one.scores.double() >= chosen).any()
        ]
        return report

    def text(self, report: dict[str, Any]) -> str:
        return metrics_text(report)

    def _gather(self) -> tuple[list[Detections], list[Target]]:
        images = gather_images(self.images, lambda image: image[1].image_id)
        return [found for found, _ in images], [target for _, target in images]

    def _per_class(
        self, found: AveragePrecision, detections: list[Detections], targets: list[Target]
    ) -> dict[str, dict[str, Any]]:
        none = torch.zeros(0, dtype=torch.int64)
        boxes = torch.cat([none, *(target.labels for target in targets)]).bincount(minlength=len(self.classes))
        predictions = torch.cat([none, *(d.labels for d in detections)]).bincount(minlength=len(self.classes))
        return {
            name: {
                "ap50": found.of_class(label, 0.5),
                "ap75": found.of_class(label, 0.75),
                "ap50_95": found.of_class(label),
                "truths": int(boxes[label]),
                "predictions": int(predictions[label]),
            }
            for label, name in enumerate(self.classes)
        }


def _choose(matching: Matching, threshold: float | None) -> tuple[float, str]:
    if threshold is not None:
        return float(threshold), "given"
    best = best_f1_threshold(matching)
    return (
        (DEFAULT_THRESHOLD, "default, as no detection is right") if best is None else (best, "best F1 on these images")
    )


def _boxes_at(matching: Matching, threshold: float, label: int | None) -> dict[str, Any]:
    boxes = count(matching, threshold, label)
    return {
        "precision": boxes.precision,
        "recall": boxes.recall,
        "f1": boxes.f1,
        "found": boxes.found,
        "false_alarms": boxes.false_alarms,
        "missed": boxes.missed,
    }


def _operating_point(matching: Matching, threshold: float, reason: str) -> dict[str, Any]:
    sorting = sort_images(matching, threshold)
    return {
        "threshold": threshold,
        "chosen": reason,
        **_boxes_at(matching, threshold, label=None),
        "escape_rate": sorting.escape_rate,
        "overkill_rate": sorting.overkill_rate,
        "defective_images": sorting.defective_images,
        "escaped_images": sorting.escaped_images,
        "good_images": sorting.good_images,
        "rejected_images": sorting.rejected_images,
    }
