"""SimOTA: assigns cells to ground-truth boxes by the cost of their current predictions.

Ge et al. 2021, arXiv 2107.08430, section 2.1. Per image:

1. candidates are the cells whose centre lies less than `centre_radius` strides, along x and along y, from the centre of
   a ground-truth box;
2. cost(box, cell) = BCE(sqrt(class x objectness), one-hot) + `iou_weight` * -log IoU; only a candidate of a
   box can be assigned to it (the source adds 1e6 to the cost of the others);
3. a box gets its k cheapest cells, k = the sum of its `most` largest IoUs with any candidate, cut to an integer, but
   at least 1;
4. a cell that several boxes got is assigned to the one of the lowest cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.assigner.positives import CellPositives
from lightdet.core.types import Target
from lightdet.ops.boxes import pairwise_iou, xyxy_to_cxcywh

EPSILON = 1e-8


@dataclass(slots=True)
class Cells:
    """What N cells of B images predict, and where they lie; lengths in px of the input frame."""

    boxes_xyxy: Tensor  # (B, N, 4)
    objectness: Tensor  # (B, N) logits
    classes: Tensor  # (B, N, C) logits
    centres_xy: Tensor  # (N, 2)
    strides: Tensor  # (N, 1)


class SimOta:
    """Targets and the predictions of all cells -> positives. Carries no gradient; images one after the other."""

    def __init__(self, centre_radius: float = 1.5, iou_weight: float = 3.0, most: int = 10) -> None:
        self.centre_radius = centre_radius
        self.iou_weight = iou_weight
        self.most = most

    @torch.no_grad()
    def __call__(self, targets: Sequence[Target], cells: Cells) -> CellPositives:
        """`targets` has one entry per image of `cells`; an image without boxes gives no positive."""
        return CellPositives.of(
            targets, [self._one_image(index, target, cells) for index, target in enumerate(targets)]
        )

    def _one_image(self, index: int, target: Target, cells: Cells) -> tuple[Tensor, Tensor]:
        """Cells (K,) and the index (K,) of the box assigned to each."""
        centres = xyxy_to_cxcywh(target.boxes_xyxy)[:, None, :2]  # (G, 1, 2)
        distance = (cells.centres_xy[None] - centres).abs().amax(dim=-1)  # (G, N)
        near = distance < self.centre_radius * cells.strides[:, 0]
        candidates = near.any(dim=0).nonzero()[:, 0]
        if len(candidates) == 0:
            return candidates, candidates
        near = near[:, candidates]
        iou = pairwise_iou(target.boxes_xyxy, cells.boxes_xyxy[index, candidates])  # (G, P)
        cost = _class_cost(cells.classes[index, candidates], cells.objectness[index, candidates], target.labels)
        cost = torch.where(near, cost - self.iou_weight * (iou + EPSILON).log(), torch.inf)
        chosen = _cheapest(cost, iou, self.most)
        claims = chosen.sum(dim=0)
        box = torch.where(claims > 1, cost.argmin(dim=0), chosen.int().argmax(dim=0))  # of equal ones the first
        return candidates[claims > 0], box[claims > 0]


def _class_cost(classes: Tensor, objectness: Tensor, labels: Tensor) -> Tensor:
    """Logits (P, C) and (P,), labels (G,) -> (G, P): the cross-entropy of sqrt(class x objectness), summed over C.

    Between the one-hot of two labels it differs in one class alone, so nothing of size G x P x C is needed.
    """
    log_yes = (F.logsigmoid(classes) + F.logsigmoid(objectness)[:, None]) / 2
    log_no = (-log_yes.exp()).log1p().clamp(min=-100)
    background = -log_no.sum(dim=1)  # (P,)
    return (background[:, None] + log_no - log_yes.clamp(min=-100))[:, labels].T


def _cheapest(cost: Tensor, iou: Tensor, most: int) -> Tensor:
    """(G, P) bool: each box's k cheapest cells; of equal ones the first, of infinite ones none."""
    limit = min(most, cost.shape[1])
    k = iou.topk(limit, dim=1).values.sum(dim=1).long().clamp(min=1)
    order = cost.argsort(dim=1, stable=True)[:, :limit]
    within = torch.arange(limit, device=cost.device) < k[:, None]
    return torch.zeros_like(cost, dtype=torch.bool).scatter_(1, order, within) & cost.isfinite()
