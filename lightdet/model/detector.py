"""Object detectors: models that predict scored boxes."""

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from lightdet.core.annotation import Boxes
from lightdet.core.types import Detections
from lightdet.metric.contract import Metric
from lightdet.metric.detection_scores import TASK
from lightdet.model.contract import Model


class Detector(Model):
    """Predicts boxes in input px; its metric is COCO's average precision in original px."""

    task = TASK
    annotation = Boxes
    result = "lightdet.engine.detection_result:DetectionResult"

    @abstractmethod
    def detect(self, images: Tensor) -> list[Detections]:
        """images (B, C, H, W) 0..1 -> B detections, boxes in input px, best first."""

    def predict(self, images: Tensor) -> list[Detections]:
        return self.detect(images)

    def metric(self, classes: Sequence[str]) -> Metric:
        from lightdet.metric.detection import DetectionMetric  # slow to import: not where nothing is measured

        return DetectionMetric(classes)

    def notes(self) -> dict[str, str]:
        return {"attention": self.placement()}

    def placement(self) -> str:
        """Where the attention is placed, in words."""
        return "none"
