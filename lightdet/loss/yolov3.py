"""The loss of YOLOv3 and YOLOv4: sums over an image, and good predictions do not count as background.

Sources: Redmon and Farhadi 2018, arXiv 1804.02767, section 2.1; Bochkovskiy et al. 2020, arXiv 2004.10934. Chosen: the
confidence target of a positive is 1; an output is ignored by the IoU of its predicted box, as in the published
implementation (the paper names its prior); objectness and class are binary cross-entropies. The box
term is an option: published are `squared_offsets` for YOLOv3 and `ciou` for YOLOv4.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Target
from lightdet.loss.yolo import AnchorCriterion
from lightdet.ops.boxes import cxcywh_to_xyxy, pairwise_iou
from lightdet.ops.cells import cell_indices
from lightdet.predictor.anchor import Anchor


class Yolov3Criterion(AnchorCriterion):
    """Raw maps of an `Anchor` predictor and targets -> {"box", "objectness", "class"}.

    Box and class (the mean over the classes) are sums over positives, objectness over places, each divided by the
    number of images. A place whose predicted box has an IoU above `ignore_iou` with a box of its image counts as
    object or not at all. `shared`: the arguments of `AnchorCriterion`. Raises LightdetError for an `ignore_iou` outside
    0..1.
    """

    def __init__(self, *, ignore_iou: float, **shared: Any) -> None:
        super().__init__(**shared)
        if not 0 <= ignore_iou <= 1:
            raise LightdetError(f"model.criterion.ignore_iou={ignore_iou}: an IoU between 0 and 1; 1 ignores nothing")
        self.ignore_iou = ignore_iou

    def confidence(self, iou: Tensor) -> Tensor:
        return torch.ones_like(iou)

    def share(self, positives: int, images: int) -> float:
        return positives / images

    def objectness(
        self, maps: Tensor, target: Tensor, targets: Sequence[Target], predictor: Anchor, level: int
    ) -> Tensor:
        counts = (target > 0) | ~self.well_placed(maps.detach(), targets, predictor, level)
        values = F.binary_cross_entropy_with_logits(maps[..., 4].reshape(-1), target, reduction="none")
        return self.objectness_gain * (values * counts).sum() / len(targets)

    def well_placed(self, maps: Tensor, targets: Sequence[Target], predictor: Anchor, level: int) -> Tensor:
        """maps (B, A, H, W, outputs) -> (B * A * H * W,) bool: predictions that overlap a box of their image."""
        cells = cell_indices(maps.shape[2], maps.shape[3], maps.device)
        anchors = predictor.anchors_wh[level][:, None, None]
        boxes = cxcywh_to_xyxy(predictor.boxes(predictor.activate(maps[..., :4]), cells, anchors, level)).flatten(1, 3)
        return torch.cat(
            [
                (pairwise_iou(predicted, target.boxes_xyxy) > self.ignore_iou).any(dim=1)
                for predicted, target in zip(boxes, targets, strict=True)
            ]
        )
