"""Object detectors: models that predict scored boxes."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections, Subject
from lightdet.metric.contract import Metric
from lightdet.metric.detection_scores import TASK
from lightdet.model.contract import Model
from lightdet.model.decode import select
from lightdet.ops.boxes import clip, pairwise_iou


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

    def support(self, prediction: Detections, subject: Subject) -> float:
        """The greatest score times IoU with the subject's box among the boxes of its class; 0 without one.

        Petsiuk et al. 2021, arXiv 2006.03204 (D-RISE). Differs: boxes of other classes count nothing, where the paper
        multiplies by the cosine of two vectors of class probabilities.
        """
        alike = prediction.labels == subject.label
        if subject.box_xyxy is None or not alike.any():
            return 0.0
        box = torch.tensor([subject.box_xyxy], device=prediction.boxes_xyxy.device)
        overlap = pairwise_iou(prediction.boxes_xyxy[alike].float(), box)[:, 0]
        return float((overlap * prediction.scores[alike]).max())

    def notes(self) -> dict[str, str]:
        return {"attention": self.placement()}

    def placement(self) -> str:
        """Where the attention is placed, in words."""
        return "none"


class DenseDetector(Detector):
    """A detector that scores many boxes, of which `select` keeps some.

    score_threshold: least score of a box that is considered. nms_iou: IoU above which the lower scored of two boxes of
    a class is dropped. max_detections: per image.
    """

    def __init__(self, score_threshold: float, nms_iou: float, max_detections: int) -> None:
        super().__init__()
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_detections = max_detections

    @abstractmethod
    def scored_boxes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (B, C, H, W) 0..1 -> all boxes_xyxy (B, N, 4) in input px, scores (B, N, num_classes) in 0..1."""

    def decoded(self, raw: Any) -> tuple[Tensor, Tensor]:
        """What the network gave for images -> `scored_boxes` of them, with the graph, in training as well.

        Raises LightdetError for a detector that has no such step.
        """
        raise LightdetError(f"{type(self).__name__} does not decode what its network gives")

    def detect(self, images: Tensor) -> list[Detections]:
        boxes, scores = self.scored_boxes(images)
        height, width = images.shape[-2:]
        return select(boxes, scores, self.score_threshold, self.nms_iou, self.max_detections, (height, width))

    @torch.no_grad()
    def guesses(self, images: Tensor, subject: Subject) -> Tensor:
        """For each class the greatest score times IoU with the subject's box, among all boxes before any is dropped."""
        boxes, scores = self.scored_boxes(images)
        within = clip(boxes[0], images.shape[-2], images.shape[-1])  # as detections are
        overlap = pairwise_iou(within, boxes.new_tensor([subject.box_xyxy]))
        return (overlap * scores[0]).amax(dim=0)
