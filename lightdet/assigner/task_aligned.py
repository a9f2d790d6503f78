"""Task-aligned assignment: a truth is answered for by the cells whose class and box already agree with it best.

Feng et al. 2021, arXiv 2108.07755 (TOOD), sections 3.2 and 3.3. Per image:

1. candidates are the cells whose centre lies inside a truth; a truth narrower than `least_side` strides counts as that
   wide for this question, so that a small one has candidates too;
2. alignment(truth, cell) = score^alpha * IoU^beta, the score being that of the truth's class;
3. a truth gets its `most` best aligned candidates; a cell that several truths got answers for the one it overlaps most;
4. what the cell's class is taught is not 1 but its alignment, scaled so that the best cell of a truth is taught the
   greatest IoU that any of its cells has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightdet.assigner.positives import CellPositives
from lightdet.batch import Target
from lightdet.ops.boxes import cxcywh_to_xyxy, pairwise_iou, xyxy_to_cxcywh

EPSILON = 1e-9


@dataclass(slots=True)
class ScoredCells:
    """What N cells of B images predict, and where they lie; lengths in px of the input frame."""

    boxes_xyxy: Tensor  # (B, N, 4)
    scores: Tensor  # (B, N, C) 0..1
    centres_xy: Tensor  # (N, 2)
    strides: Tensor  # (N, 1)


@dataclass(slots=True)
class SoftPositives(CellPositives):
    """Positives, and the score 0..1 that each of them is taught for its class."""

    score: Tensor  # (K,)


class TaskAligned:
    """Targets and the predictions of all cells -> positives. Carries no gradient; images one after the other."""

    def __init__(self, most: int = 10, alpha: float = 0.5, beta: float = 6.0, least_side: float = 1.0) -> None:
        self.most = most
        self.alpha = alpha
        self.beta = beta
        self.least_side = least_side

    @torch.no_grad()
    def __call__(self, targets: Sequence[Target], cells: ScoredCells) -> SoftPositives:
        """`targets` has one entry per image of `cells`; an image without truth gives no positive."""
        found = [self._one_image(index, target, cells) for index, target in enumerate(targets)]
        chosen = [(cell, truth) for cell, truth, _ in found]
        return SoftPositives.of(targets, chosen, torch.cat([score for _, _, score in found]))

    def _one_image(self, index: int, target: Target, cells: ScoredCells) -> tuple[Tensor, Tensor, Tensor]:
        """Cells (K,), the truth (K,) that each of them answers for, and the score (K,) it is taught."""
        inside = self._inside(target.boxes_xyxy, cells)
        candidates = inside.any(dim=0).nonzero()[:, 0]
        if len(candidates) == 0:
            return candidates, candidates, cells.scores.new_zeros(0)
        inside = inside[:, candidates]
        iou = pairwise_iou(target.boxes_xyxy, cells.boxes_xyxy[index, candidates])  # (G, P)
        scores = cells.scores[index, candidates][:, target.labels].T
        alignment = torch.where(inside, scores**self.alpha * iou**self.beta, -1.0)
        order = alignment.argsort(dim=1, descending=True, stable=True)[:, : self.most]
        chosen = torch.zeros_like(inside).scatter_(1, order, True) & inside
        truth = torch.where(chosen, iou, -1.0).argmax(dim=0)  # of equal ones the first
        kept = chosen.any(dim=0)
        final = chosen & (torch.arange(len(iou), device=iou.device)[:, None] == truth) & kept
        alignment, iou = torch.where(final, alignment, 0.0), torch.where(final, iou, 0.0)
        scale = iou.amax(dim=1) / (alignment.amax(dim=1) + EPSILON)  # (G,)
        score = (alignment * scale[:, None]).amax(dim=0)
        return candidates[kept], truth[kept], score[kept]

    def _inside(self, boxes_xyxy: Tensor, cells: ScoredCells) -> Tensor:
        """(G, N) bool: whether the cell's centre lies in the truth."""
        boxes = xyxy_to_cxcywh(boxes_xyxy)[:, None].repeat(1, len(cells.strides), 1)  # (G, N, 4)
        boxes[..., 2:] = boxes[..., 2:].maximum(self.least_side * cells.strides)
        low, high = cxcywh_to_xyxy(boxes).split(2, dim=-1)
        return torch.minimum(cells.centres_xy - low, high - cells.centres_xy).amin(dim=-1) > EPSILON
