"""Task-aligned assignment: a truth is answered for by the cells whose class and box already agree with it best.

Feng et al. 2021, arXiv 2108.07755 (TOOD), sections 3.2 and 3.3. Per image:

1. candidates are the cells whose centre lies inside a truth; a truth narrower than `least_side` strides counts as that
   wide for this question, its border included, so that a small one has candidates wherever it lies between the cells;
2. alignment(truth, cell) = score^alpha * IoU^beta, the score being that of the truth's class;
3. a truth gets its `most` best aligned candidates; a cell that several truths got answers for the one it overlaps most;
4. what the cell's class is taught is not 1 but its alignment, scaled so that the best cell of a truth is taught the
   greatest IoU that any of its cells has. Differs: nothing is added to the divisor, which would silence a small truth
   as long as the boxes are large.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightdet.assigner.positives import CellPositives, Truths
from lightdet.core.types import Target
from lightdet.ops.boxes import paired_iou


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
    """Targets and the predictions of all cells -> positives. Carries no gradient.

    Only pairs of a truth and a cell inside it are looked at, those of all images together.
    """

    def __init__(self, most: int = 10, alpha: float = 0.5, beta: float = 6.0, least_side: float = 1.0) -> None:
        self.most = most
        self.alpha = alpha
        self.beta = beta
        self.least_side = least_side

    @torch.no_grad()
    def __call__(self, targets: Sequence[Target], cells: ScoredCells) -> SoftPositives:
        """`targets` has one entry per image of `cells`; an image without truth gives no positive."""
        truths = Truths.of(targets)  # T of them
        image, labels = truths.image, truths.labels
        boxes_xyxy = torch.cat([target.boxes_xyxy for target in targets])
        truth, cell = (
            self._inside(truths.boxes_cxcywh, cells).nonzero().unbind(dim=1)
        )  # K pairs, in the order of the truths
        place = image[truth] * len(cells.strides) + cell
        iou = paired_iou(boxes_xyxy[truth], cells.boxes_xyxy.flatten(0, 1)[place])
        alignment = cells.scores.flatten(0, 1)[place, labels[truth]] ** self.alpha * iou**self.beta
        best = _best_of_each(truth, alignment, self.most)
        kept = best[_best_of_each(place[best], iou[best], 1)]  # ordered by place
        truth, cell, iou, alignment = truth[kept], cell[kept], iou[kept], alignment[kept]
        greatest = torch.zeros(2, len(labels), device=labels.device)  # IoU and alignment of any cell of a truth
        greatest.scatter_reduce_(1, truth.expand(2, -1), torch.stack((iou, alignment)), "amax")
        least = torch.finfo(alignment.dtype).tiny  # an alignment is a sixth power: 1e-9 would be large beside it
        score = alignment / greatest[1].clamp(min=least)[truth] * greatest[0][truth]
        return SoftPositives(image[truth], cell, boxes_xyxy[truth], labels[truth], score)

    def _inside(self, boxes_cxcywh: Tensor, cells: ScoredCells) -> Tensor:
        """(T, N) bool: whether the cell's centre lies in the truth."""
        centre, size = boxes_cxcywh[:, None].split(2, dim=-1)  # (T, 1, 2)
        apart = (cells.centres_xy - centre).abs()  # (T, N, 2)
        inside = (apart < size / 2) | (apart <= self.least_side * cells.strides / 2)
        return inside.all(dim=-1)


def _best_of_each(group: Tensor, value: Tensor, most: int) -> Tensor:
    """Indices (L,) of the `most` greatest values (K,) of each group (K,), ordered by group; of equal ones the first."""
    order = value.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    group = group[order]
    begins = torch.ones_like(group, dtype=torch.bool)
    begins[1:] = group[1:] != group[:-1]
    number = torch.arange(len(group), device=group.device)
    rank = number - torch.where(begins, number, 0).cummax(dim=0).values
    return order[rank < most]
