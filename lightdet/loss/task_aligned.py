"""The loss of a `Distances` predictor under task-aligned assignment, without objectness.

Classes: cross-entropy of every cell; the target is the alignment of a positive and 0 elsewhere (Feng et al. 2021, arXiv
2108.07755). Boxes: a box loss, and the distribution focal loss of Li et al. 2020, arXiv 2006.04388, eq. 6: the
cross-entropy with the two bins beside the true distance, in proportion to its nearness. Both weigh a positive by its
class target. Every term is divided by the sum of the class targets, but by no less than the number of images without a
box, all of whose cells are background: they would else weigh as much as all of them together.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.assigner.task_aligned import ScoredCells, TaskAligned
from lightdet.core.types import Target, TrainingStats
from lightdet.loss.criterion import Criterion, require
from lightdet.predictor.distances import Distances

NEARLY = 0.01  # the largest distance stays that far below the last bin


class TaskAlignedCriterion(Criterion):
    """Raw maps of a `Distances` predictor and targets -> {"box", "distribution", "class"}.

    Scalars that sum to the objective. `box_loss`: (K, 4), (K, 4) px -> (K,). With one bin "distribution" is the L1
    distance in strides. Raises LightdetError for an assigner of another kind.
    """

    predictor_type = Distances

    def __init__(
        self,
        assigner: TaskAligned,
        box_loss: Callable[[Tensor, Tensor], Tensor],
        box_gain: float,
        distribution_gain: float,
        class_gain: float,
    ) -> None:
        super().__init__()
        require(assigner, TaskAligned, "assigner", type(self).__name__)
        self.assigner = assigner
        self.box_loss = box_loss
        self.box_gain = box_gain
        self.distribution_gain = distribution_gain
        self.class_gain = class_gain

    def forward(self, raw_maps: Sequence[Tensor], targets: Sequence[Target], predictor: Distances) -> dict[str, Tensor]:
        outputs = predictor.flatten(raw_maps)  # (B, N, 4 bins + C)
        width = 4 * predictor.bins
        centres, strides = predictor.centres(raw_maps)
        raw = outputs.detach()
        boxes = predictor.boxes_xyxy(raw[..., :width], centres, strides)
        assigned = self.assigner(targets, ScoredCells(boxes, raw[..., width:].sigmoid(), centres, strides))
        place = assigned.image * len(centres) + assigned.cell
        class_target = outputs.new_zeros(outputs.shape[0] * len(centres), predictor.num_classes)
        class_target[place, assigned.labels] = assigned.score
        empty = sum(not len(target.labels) for target in targets)
        total = assigned.score.sum().clamp(min=max(1, empty))
        crossed = F.binary_cross_entropy_with_logits(outputs[..., width:].flatten(0, 1), class_target, reduction="sum")
        zero = outputs.new_zeros(())
        terms = {"box": zero, "distribution": zero, "class": self.class_gain * crossed / total}
        if len(place) == 0:
            return terms
        chosen = outputs.flatten(0, 1).index_select(0, place)[:, :width]  # its backward adds in a fixed order
        centres, strides = centres[assigned.cell], strides[assigned.cell]
        predicted = predictor.boxes_xyxy(chosen, centres, strides)
        weighed = (self.box_loss(predicted, assigned.boxes_xyxy) * assigned.score).sum()
        low, high = assigned.boxes_xyxy.split(2, dim=-1)
        wanted = torch.cat((centres - low, high - centres), dim=-1) / strides  # (K, 4) strides
        apart = (distribution_loss(chosen, wanted, predictor).mean(dim=-1) * assigned.score).sum()
        terms["box"] = self.box_gain * weighed / total
        terms["distribution"] = self.distribution_gain * apart / total
        return terms

    def prepare(self, stats: TrainingStats, predictor: Distances) -> str:
        beyond = int((stats.box_sizes > predictor.widest).any(dim=-1).sum())
        if not beyond:
            return super().prepare(stats, predictor)
        return (
            f"{beyond} of {len(stats.box_sizes)} boxes are longer than the {predictor.widest:.0f} px that "
            f"{predictor.bins} bins can express: raise model.network.predictor.bins, or take a smaller image_size"
        )


def distribution_loss(raw: Tensor, wanted: Tensor, predictor: Distances) -> Tensor:
    """Raw outputs (K, 4 bins), true distances (K, 4) strides -> (K, 4); a distance beyond the last bin counts as it."""
    if predictor.bins == 1:
        return (predictor.distances(raw) - wanted.clamp(min=0)).abs()
    wanted = wanted.clamp(0, predictor.bins - 1 - NEARLY)
    left = wanted.floor()
    share = wanted - left
    log_probability = raw.unflatten(-1, (4, predictor.bins)).log_softmax(dim=-1)
    below = log_probability.gather(-1, left.long()[..., None])[..., 0]
    above = log_probability.gather(-1, left.long()[..., None] + 1)[..., 0]
    return -(below * (1 - share) + above * share)
