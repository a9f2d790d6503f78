"""The YOLO family: a network without losses, and the detector that trains and decodes it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightdet.core.types import Subject, Target, TrainingStats
from lightdet.loss.criterion import Criterion
from lightdet.model.detector import DenseDetector
from lightdet.nn.contracts import Backbone, Fusion, Neck, Predictor
from lightdet.nn.grid_attention import GridAttention
from lightdet.ops.boxes import clip, pairwise_iou

SURE = 1e-6  # of a score that is rounded to 0 or 1: its logit would be infinite


class Yolo(nn.Module):
    """images (B, in_channels, H, W) -> raw maps, finest grid first; H and W multiples of the coarsest stride.

    `neck(channels, fusion=)`, `attention(channels)` and `predictor(channels, strides, num_classes)` are built here
    from the channels of the part before them. `head` names the grids in front of whose predictor the attention is
    placed; None for `attention` leaves it out.
    """

    def __init__(
        self,
        backbone: Backbone,
        neck: Callable[..., Neck],
        fusion: Callable[[int], Fusion],
        predictor: Callable[..., Predictor],
        num_classes: int,
        attention: Callable[[int], nn.Module] | None = None,
        head: str | int = "none",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.in_channels = backbone.in_channels
        self.neck = neck(backbone.channels, fusion=fusion)
        self.attention = GridAttention(attention, self.neck.channels, head, backbone.strides)
        self.predictor = predictor(self.neck.channels, backbone.strides, num_classes)

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.predictor(self.attention(self.neck(self.backbone(images))))


class YoloDetector(DenseDetector):
    """A `Yolo` network behind the detector contract.

    Raises LightdetError for a criterion for another kind of predictor.
    """

    network: Yolo

    def __init__(
        self,
        network: Yolo,
        criterion: Criterion,
        score_threshold: float = 0.001,
        nms_iou: float = 0.6,
        max_detections: int = 100,
    ) -> None:
        super().__init__(score_threshold, nms_iou, max_detections)
        criterion.check(network.predictor)
        self.network = network
        self.criterion = criterion

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        return self.criterion(self.network(images), targets, self.network.predictor)

    def scored_boxes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoded(self.network(images))

    def decoded(self, raw: Any) -> tuple[Tensor, Tensor]:
        return self.network.predictor.decode(raw)

    def prepare(self, stats: TrainingStats) -> str:
        return self.criterion.prepare(stats, self.network.predictor)

    def set_progress(self, progress: float) -> None:
        self.criterion.set_progress(progress)

    def layers(self) -> tuple[str, ...]:
        return ("backbone", "neck", "attention")

    def explained(self) -> tuple[str, ...]:
        return ("neck",)

    def evidence(self, images: Tensor, subject: Subject) -> Tensor:
        """The logit of the class's score in the cell that gave the box: the one with the best score times IoU."""
        boxes, scores = self.scored_boxes(images)
        of_class = scores[0, :, subject.label]
        with torch.no_grad():
            box = boxes.new_tensor([subject.box_xyxy])
            within = clip(boxes[0], images.shape[-2], images.shape[-1])  # as detections are
            cell = (pairwise_iou(within, box)[:, 0] * of_class).argmax()
        return torch.logit(of_class[cell], eps=SURE)

    def placement(self) -> str:
        placed = [*self.network.backbone.placement(), *self.network.attention.placement("before")]
        return ", ".join(placed) or super().placement()
