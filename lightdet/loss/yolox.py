"""The loss of YOLOX, Ge et al. 2021, arXiv 2107.08430: sums over cells, divided by the number of positives.

The target of objectness is 1 at positives and 0 at all other cells, that of a positive's class its one-hot times the
IoU, that of its box the ground truth; in the last part of a training the L1 distance of the raw outputs is added.
Differs: the sums are divided by the number of images where there are fewer positives, so that a batch with hardly a box
weighs no more than its images; the source divides by 1 at least, and all cells of all images then count whole.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.assigner.simota import Cells, SimOta
from lightdet.core.types import Target
from lightdet.loss.box.overlap import overlap
from lightdet.loss.criterion import Criterion, require
from lightdet.ops.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from lightdet.predictor.decoupled import Decoupled, boxes_from_cells, offsets_from_boxes


class YoloxCriterion(Criterion):
    """Raw maps of a `Decoupled` predictor and targets -> {"box", "objectness", "class", "l1"}.

    Scalars that sum to the objective. `box_loss`: (K, 4), (K, 4) px -> (K,). "l1" is 0 until `l1_from`, a share of the
    training (1: never). Raises LightdetError for an assigner of another kind.
    """

    predictor_type = Decoupled

    def __init__(
        self,
        assigner: SimOta,
        box_loss: Callable[[Tensor, Tensor], Tensor],
        box_gain: float,
        objectness_gain: float,
        class_gain: float,
        l1_gain: float,
        l1_from: float,
    ) -> None:
        super().__init__()
        require(assigner, SimOta, "assigner", type(self).__name__)
        self.assigner = assigner
        self.box_loss = box_loss
        self.box_gain = box_gain
        self.objectness_gain = objectness_gain
        self.class_gain = class_gain
        self.l1_gain = l1_gain
        self.l1_from = l1_from
        self.set_progress(0.0)

    def set_progress(self, progress: float) -> None:
        self.with_l1 = progress >= self.l1_from

    def forward(self, raw_maps: Sequence[Tensor], targets: Sequence[Target], predictor: Decoupled) -> dict[str, Tensor]:
        outputs = predictor.flatten(raw_maps)  # (B, N, 5 + C)
        cells, strides = predictor.cells(raw_maps)
        raw = outputs.detach()
        boxes = cxcywh_to_xyxy(boxes_from_cells(raw[..., :4], cells, strides))
        centres = (cells + 0.5) * strides
        assigned = self.assigner(targets, Cells(boxes, raw[..., 4], raw[..., 5:], centres, strides))
        positives = max(len(targets), len(assigned.cell))
        place = assigned.image * len(cells) + assigned.cell
        objectness = torch.zeros(outputs.shape[:2].numel(), device=outputs.device)
        objectness[place] = 1.0
        confidence = F.binary_cross_entropy_with_logits(outputs[..., 4].flatten(), objectness, reduction="sum")
        zero = outputs.new_zeros(())
        terms = {"box": zero, "objectness": self.objectness_gain * confidence / positives, "class": zero, "l1": zero}
        if len(place) == 0:
            return terms
        chosen = outputs.flatten(0, 1).index_select(0, place)  # its backward adds in a fixed order
        cells, strides = cells[assigned.cell], strides[assigned.cell]
        predicted = cxcywh_to_xyxy(boxes_from_cells(chosen[:, :4], cells, strides))
        iou = overlap(predicted.detach(), assigned.boxes_xyxy).iou
        soft = F.one_hot(assigned.labels, predictor.num_classes) * iou[:, None]
        crossed = F.binary_cross_entropy_with_logits(chosen[:, 5:], soft, reduction="sum")
        terms["box"] = self.box_gain * self.box_loss(predicted, assigned.boxes_xyxy).sum() / positives
        terms["class"] = self.class_gain * crossed / positives
        if self.with_l1:
            wanted = offsets_from_boxes(xyxy_to_cxcywh(assigned.boxes_xyxy), cells, strides)
            terms["l1"] = self.l1_gain * F.l1_loss(chosen[:, :4], wanted, reduction="sum") / positives
        return terms
