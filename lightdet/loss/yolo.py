"""The loss of the anchor-based YOLOs, Huang 2024 eq. 8: x * class + y * box + z * confidence.

Class and confidence are binary cross-entropies (eq. 9), the box term is an option (eq. 11: GIoU). The confidence of
a positive is taught its IoU, every other cell 0; a grid's confidence counts by its stride, because fine grids hold
most cells and most of the small truths.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.assigner.anchors import best_possible_recall, cluster_anchors
from lightdet.assigner.ratio import Positives, Ratio
from lightdet.batch import Target
from lightdet.loss.box.overlap import overlap
from lightdet.loss.criterion import Criterion, require
from lightdet.ops.anchors import POOR_RECALL
from lightdet.ops.boxes import cxcywh_to_xyxy
from lightdet.predictor.anchor import Anchor, boxes_from_offsets

OBJECTNESS_BALANCE = {8: 4.0, 16: 1.0, 32: 0.4}  # by stride


class AnchorCriterion(Criterion):
    """Raw maps of an `Anchor` predictor and targets -> {"box", "objectness", "class"}.

    Scalars that sum to the objective. `box_loss`: (K, 4), (K, 4) px -> (K,). Raises LightdetError for an assigner of
    another kind.
    """

    teaches = Anchor

    def __init__(
        self,
        assigner: Ratio,
        box_loss: Callable[[Tensor, Tensor], Tensor],
        box_gain: float,
        objectness_gain: float,
        class_gain: float,
    ) -> None:
        require(assigner, Ratio, "assigner", type(self).__name__)
        self.assigner = assigner
        self.box_loss = box_loss
        self.box_gain = box_gain
        self.objectness_gain = objectness_gain
        self.class_gain = class_gain

    def __call__(self, raw_maps: Sequence[Tensor], targets: Sequence[Target], predictor: Anchor) -> dict[str, Tensor]:
        shapes = [(raw.shape[-2], raw.shape[-1]) for raw in raw_maps]
        positives = self.assigner(targets, predictor.anchors_wh, predictor.strides, shapes)
        zero = raw_maps[0].new_zeros((), dtype=torch.float32)
        terms = {"box": zero, "objectness": zero, "class": zero}
        for level, (raw, found) in enumerate(zip(raw_maps, positives, strict=True)):
            for name, value in self._one_grid(raw, found, predictor, level).items():
                terms[name] = terms[name] + value
        return terms

    def fit_to(self, box_sizes: Tensor, predictor: Anchor) -> str:
        recall = best_possible_recall(box_sizes, predictor.anchors_wh.view(-1, 2), self.assigner.max_ratio)
        if recall >= POOR_RECALL:
            return f"anchors kept, best possible recall {recall:.3f}"
        grids, per_grid, _ = predictor.anchors_wh.shape
        try:
            anchors = cluster_anchors(box_sizes, grids, per_grid)
        except ValueError as reason:
            return f"anchors kept, best possible recall {recall:.3f}: {reason}"
        after = best_possible_recall(box_sizes, anchors.view(-1, 2), self.assigner.max_ratio)
        if after <= recall:
            return f"anchors kept, best possible recall {recall:.3f}; clustering gave {after:.3f}"
        predictor.anchors_wh.copy_(anchors)
        return f"anchors clustered from the training set, best possible recall {recall:.3f} -> {after:.3f}"

    def _one_grid(self, raw: Tensor, found: Positives, predictor: Anchor, level: int) -> dict[str, Tensor]:
        stride, anchors = predictor.strides[level], predictor.anchors_wh[level]
        maps = predictor.flatten(raw)
        objectness = maps[..., 4]
        target = torch.zeros(objectness.numel(), device=raw.device)
        terms: dict[str, Tensor] = {}
        if len(found.labels):
            _, per_cell, height, width, outputs = maps.shape
            place = ((found.image * per_cell + found.anchor) * height + found.row) * width + found.column
            answers = maps.reshape(-1, outputs).index_select(0, place)  # its backward adds in a fixed order
            cells = torch.stack((found.column, found.row), dim=-1)
            boxes = boxes_from_offsets(answers[:, :4].sigmoid(), cells, anchors[found.anchor], stride)
            predicted, truth = cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(found.boxes_cxcywh)
            iou = overlap(predicted.detach(), truth).iou.clamp(0, 1)
            target.scatter_reduce_(0, place, iou, "amax")
            terms["box"] = self.box_gain * self.box_loss(predicted, truth).mean()
            if predictor.num_classes > 1:
                one_hot = F.one_hot(found.labels, predictor.num_classes).float()
                terms["class"] = self.class_gain * F.binary_cross_entropy_with_logits(answers[:, 5:], one_hot)
        confidence = F.binary_cross_entropy_with_logits(objectness.reshape(-1), target)
        terms["objectness"] = self.objectness_gain * OBJECTNESS_BALANCE[stride] * confidence
        return terms
