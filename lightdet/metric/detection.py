"""The metric a training loop and an evaluation share: collect image by image, then compute."""

from itertools import chain, zip_longest
from typing import Any

import torch

from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections, Target
from lightdet.distributed.gather import gather
from lightdet.metric.average_precision import AveragePrecision, average_precision
from lightdet.metric.coco import RECALL_POINTS
from lightdet.metric.confusion import confusion_matrix
from lightdet.metric.contract import Contributions
from lightdet.metric.detection_scores import DETECTION_SCORES, MAP50, MAP50_95, MAP75
from lightdet.metric.frame import check_finite
from lightdet.metric.matching import MATCH_IOU, Matching, match
from lightdet.metric.operating_point import DEFAULT_THRESHOLD, best_f1_threshold, count, sort_images


class DetectionMetric:
    """Detections against truth, both in photo pixels (see `lightdet.metric.frame`).

    `update` per batch, `compute` at the end, `reset` before the next epoch. Under distributed training `compute` gives
    every process the numbers of the whole set.
    """

    scores = DETECTION_SCORES

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = tuple(classes)
        self._images: list[tuple[Detections, Target]] = []

    def reset(self) -> None:
        """Forget all images."""
        self._images = []

    def update(self, detections: list[Detections], targets: list[Target]) -> None:
        """One entry per image in both lists.

        Raises LightdetError for boxes or scores that are not finite and for labels that are not a class.
        """
        if len(detections) != len(targets):
            raise LightdetError(f"metric: {len(detections)} detections for {len(targets)} targets; give one per image")
        for found, target in zip(detections, targets, strict=True):
            found = Detections(
                found.boxes_xyxy.detach().float().cpu(),
                found.scores.detach().float().cpu(),
                found.labels.detach().cpu(),
            )
            target = Target(target.boxes_xyxy.cpu(), target.labels.cpu(), target.image_id, target.letterbox)
            self._check(found, target)
            self._images.append((found, target))

    def compute(self, full: bool = True, threshold: float | None = None) -> dict[str, Any]:
        """The numbers as plain JSON types; None where a number does not exist (a class without truth has no AP).

        full=False gives what an epoch needs: map50, map75, map50_95, images, and per_class with ap50, ap75, ap50_95,
        truths (boxes) and predictions (boxes of any score). full=True adds found, false_alarms, missed, precision,
        recall and f1 per class, operating_point, confusion and curves, all at IoU 0.5 and at `threshold`; without one,
        at the threshold that is best for these very images (see `best_f1_threshold`).
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
        return report

    def contributions(self) -> Contributions | None:
        """None: average precision is no ratio of sums over images; `detections.json` serves resampling instead."""
        return None

    def _check(self, found: Detections, target: Target) -> None:
        check_finite(found, target.image_id)
        labels = torch.cat((found.labels, target.labels))
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
            names = ", ".join(self.classes)
            raise LightdetError(f"{target.image_id}: a label outside 0..{len(self.classes) - 1}; classes: {names}")

    def _gather(self) -> tuple[list[Detections], list[Target]]:
        """All images, each once, in the order in which they were dealt to the ranks: the first to rank 0, the next to
        rank 1, and so on (`EpochBatchSampler`). So equal scores rank as they would in one process."""
        images = self._images
        parts = gather(images)
        if len(parts) > 1:
            dealt = [image for image in chain.from_iterable(zip_longest(*parts)) if image is not None]
            images = list({target.image_id: (found, target) for found, target in dealt}.values())
        return [found for found, _ in images], [target for _, target in images]

    def _per_class(
        self, found: AveragePrecision, detections: list[Detections], targets: list[Target]
    ) -> dict[str, dict[str, Any]]:
        none = torch.zeros(0, dtype=torch.int64)
        truths = torch.cat([none, *(target.labels for target in targets)]).bincount(minlength=len(self.classes))
        predictions = torch.cat([none, *(d.labels for d in detections)]).bincount(minlength=len(self.classes))
        return {
            name: {
                "ap50": found.of_class(label, 0.5),
                "ap75": found.of_class(label, 0.75),
                "ap50_95": found.of_class(label),
                "truths": int(truths[label]),
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
