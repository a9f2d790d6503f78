"""The loss of the anchor-based YOLOs, Huang 2024 eq. 8: x * class + y * box + z * confidence.

Class and confidence are binary cross-entropies (eq. 9), the box term is an option (eq. 11: GIoU), and so is the class
term. The target of the confidence is the IoU of a positive and 0 at every other cell; a grid's confidence is weighted
by its stride, because fine grids hold most cells and most of the small boxes.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.assigner.anchors import cluster_anchors
from lightdet.assigner.positives import AnchorAssigner, Positives
from lightdet.core.errors import LightdetError
from lightdet.core.types import Target, TrainingStats
from lightdet.loss.box.overlap import overlap
from lightdet.loss.classification.bce import Bce
from lightdet.loss.classification.contract import ClassLoss
from lightdet.loss.criterion import Criterion, require
from lightdet.ops.anchors import POOR_RECALL
from lightdet.ops.boxes import cxcywh_to_xyxy
from lightdet.predictor.anchor import Anchor

OBJECTNESS_BALANCE = {4: 4.0, 8: 4.0, 16: 1.0, 32: 0.4}  # by stride, px; published from 8 on, that of 4 is chosen


class AnchorCriterion(Criterion):
    """Raw maps of an `Anchor` predictor and targets -> {"box", "objectness", "class"}.

    Scalars that sum to the objective; box and class are means over the positives of a grid, confidence over its cells,
    and the grids are added. `box_loss`: (K, 4), (K, 4) px -> (K,). `class_loss`: None is binary cross-entropy.
    `class_weights`: statistics of the training set -> what a positive of each class counts (C,); in force after
    `prepare`; None: all alike. Raises LightdetError for an assigner of another kind, and for one with
    positives whose centres the predictor cannot reach.
    """

    predictor_type = Anchor
    class_weights: Tensor | None

    def __init__(
        self,
        assigner: AnchorAssigner,
        box_loss: Callable[[Tensor, Tensor], Tensor],
        box_gain: float,
        objectness_gain: float,
        class_gain: float,
        class_loss: ClassLoss | None = None,
        class_weights: Callable[[TrainingStats], Tensor] | None = None,
    ) -> None:
        super().__init__()
        require(assigner, AnchorAssigner, "assigner", type(self).__name__)
        self.assigner = assigner
        self.box_loss = box_loss
        self.box_gain = box_gain
        self.objectness_gain = objectness_gain
        self.class_gain = class_gain
        self.class_loss = class_loss or Bce()
        self.weigh_classes = class_weights
        self.register_buffer("class_weights", None, persistent=False)  # computed from the data at every start

    def check(self, predictor: object) -> None:
        super().check(predictor)
        assert isinstance(predictor, Anchor)
        if self.assigner.beyond > predictor.reach:
            raise LightdetError(
                f"assigner: {type(self.assigner).__name__} has positives with centres up to {self.assigner.beyond:g} "
                f"cells outside of them, and those of {type(predictor).__name__} reach {predictor.reach:g}; take "
                "model.criterion.assigner.neighbour_offset=0 or another assigner="
            )

    def forward(self, raw_maps: Sequence[Tensor], targets: Sequence[Target], predictor: Anchor) -> dict[str, Tensor]:
        shapes = [(raw.shape[-2], raw.shape[-1]) for raw in raw_maps]
        positives = self.assigner(targets, predictor.anchors_wh, predictor.strides, shapes)
        zero = raw_maps[0].new_zeros((), dtype=torch.float32)
        terms = {"box": zero, "objectness": zero, "class": zero}
        for level, (raw, assigned) in enumerate(zip(raw_maps, positives, strict=True)):
            for name, value in self._one_grid(raw, assigned, targets, predictor, level).items():
                terms[name] = terms[name] + value
        return terms

    def prepare(self, stats: TrainingStats, predictor: Anchor) -> str:
        done = self._fit_anchors(stats.box_sizes, predictor)
        if self.weigh_classes is None:
            return done
        weights = self.weigh_classes(stats)
        self.class_weights = weights.to(predictor.anchors_wh.device)
        return f"{done}; class weights {', '.join(f'{weight:.2f}' for weight in weights.tolist())}"

    def _fit_anchors(self, box_sizes: Tensor, predictor: Anchor) -> str:
        recall = self.assigner.recall(box_sizes, predictor.anchors_wh.view(-1, 2))
        if recall >= POOR_RECALL:
            return f"anchors kept, best possible recall {recall:.3f}"
        grids, per_grid, _ = predictor.anchors_wh.shape
        try:
            anchors = cluster_anchors(box_sizes, grids, per_grid)
        except ValueError as reason:
            return f"anchors kept, best possible recall {recall:.3f}: {reason}"
        after = self.assigner.recall(box_sizes, anchors.view(-1, 2))
        if after <= recall:
            return f"anchors kept, best possible recall {recall:.3f}; clustering gave {after:.3f}"
        predictor.anchors_wh.copy_(anchors)
        return f"anchors clustered from the training set, best possible recall {recall:.3f} -> {after:.3f}"

    def _one_grid(
        self, raw: Tensor, assigned: Positives, targets: Sequence[Target], predictor: Anchor, level: int
    ) -> dict[str, Tensor]:
        anchors = predictor.anchors_wh[level]
        maps = predictor.flatten(raw)
        target = torch.zeros(maps[..., 4].numel(), device=raw.device)
        terms: dict[str, Tensor] = {}
        if len(assigned.labels):
            _, per_cell, height, width, outputs = maps.shape
            place = ((assigned.image * per_cell + assigned.anchor) * height + assigned.row) * width + assigned.column
            chosen = maps.reshape(-1, outputs).index_select(0, place)  # its backward adds in a fixed order
            cells = torch.stack((assigned.column, assigned.row), dim=-1)
            boxes = predictor.boxes(predictor.activate(chosen[:, :4]), cells, anchors[assigned.anchor], level)
            predicted, wanted = cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(assigned.boxes_cxcywh)
            iou = overlap(predicted.detach(), wanted).iou.clamp(0, 1)
            target.scatter_reduce_(0, place, self.confidence(iou), "amax")
            share = self.share(len(assigned.labels), len(targets))
            terms["box"] = self.box_gain * share * self.box_loss(predicted, wanted).mean()
            if predictor.num_classes > 1:
                weight = None if self.class_weights is None else self.class_weights[assigned.labels, None]
                value = self.class_loss(chosen[:, 5:], assigned.labels, iou, weight)
                terms["class"] = self.class_gain * share * value
        terms["objectness"] = self.objectness(maps, target, targets, predictor, level)
        return terms

    def confidence(self, iou: Tensor) -> Tensor:
        """IoU of the positives with their ground truth (K,) -> the targets of their confidence (K,)."""
        return iou

    def share(self, positives: int, images: int) -> float:
        """The factor of the mean over a grid's positives."""
        return 1.0

    def objectness(
        self, maps: Tensor, target: Tensor, targets: Sequence[Target], predictor: Anchor, level: int
    ) -> Tensor:
        """maps (B, A, H, W, outputs), target (B * A * H * W,) of the confidence -> the term of one grid."""
        value = F.binary_cross_entropy_with_logits(maps[..., 4].reshape(-1), target)
        return self.objectness_gain * OBJECTNESS_BALANCE[predictor.strides[level]] * value
