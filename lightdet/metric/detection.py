"""The metric a training loop and an evaluation share: collect image by image, then compute."""

from typing import Any

from lightdet.batch import Detections, Target
from lightdet.error import LightdetError
from lightdet.metric.average_precision import AveragePrecision, average_precision


class DetectionMetric:
    """Detections against truth, both in photo pixels (see `lightdet.metric.frame`).

    `update` per batch, `compute` at the end, `reset` before the next epoch.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = tuple(classes)
        self.reset()

    def reset(self) -> None:
        self._detections: list[Detections] = []
        self._targets: list[Target] = []

    def update(self, detections: list[Detections], targets: list[Target]) -> None:
        """One entry per image in both lists. Raises LightdetError for boxes or scores that are not finite."""
        if len(detections) != len(targets):
            raise LightdetError(f"metric: {len(detections)} detections for {len(targets)} targets; give one per image")
        for found, target in zip(detections, targets, strict=True):
            if not (found.boxes_xyxy.isfinite().all() and found.scores.isfinite().all()):
                raise LightdetError(f"{target.image_id}: the detector gave a box or score that is NaN or infinite")
            self._detections.append(
                Detections(found.boxes_xyxy.detach().cpu(), found.scores.detach().cpu(), found.labels.detach().cpu())
            )
            self._targets.append(
                Target(target.boxes_xyxy.cpu(), target.labels.cpu(), target.image_id, target.letterbox)
            )

    def compute(self, full: bool = True, threshold: float | None = None) -> dict[str, Any]:
        """The numbers as plain JSON types; None where a number does not exist (a class without truth has no AP).

        full=False gives what an epoch needs: map50, map75, map50_95, images and per_class with ap50, ap75, ap50_95,
        truths (boxes) and predictions (boxes of any score).
        """
        found = average_precision(self._detections, self._targets)
        return {
            "map50": found.mean(0.5),
            "map75": found.mean(0.75),
            "map50_95": found.mean(),
            "per_class": {name: self._of_class(found, label) for label, name in enumerate(self.classes)},
            "images": len(self._targets),
        }

    def _of_class(self, found: AveragePrecision, label: int) -> dict[str, Any]:
        return {
            "ap50": found.of_class(label, 0.5),
            "ap75": found.of_class(label, 0.75),
            "ap50_95": found.of_class(label),
            "truths": sum(int((target.labels == label).sum()) for target in self._targets),
            "predictions": sum(int((detections.labels == label).sum()) for detections in self._detections),
        }
