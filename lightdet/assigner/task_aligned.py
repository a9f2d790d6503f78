"""Task-aligned assignment: positive are the cells whose class and box already agree best with a ground-truth box.

Feng et al. 2021, arXiv 2108.07755 (TOOD), sections 3.2 and 3.3. Per image:

1. candidates are the cells whose centre lies inside a box; a box narrower than `least_side` strides counts as that wide
   here, its border included, so that a small one has candidates wherever it lies between the cells;
2. alignment(box, cell) = score^alpha * IoU^beta, the score being that of the box's class;
3. a box gets its `most` best aligned candidates; a cell that several boxes got is assigned to the one it overlaps most;
4. the target of a cell's class is its alignment instead of 1, scaled so that the best cell of a box gets the greatest
   IoU of any of its cells. Differs: nothing is added to the divisor, which would suppress a small box as long as the
   predicted boxes are large.

Differs from the implementations in use (from the paper only in the least width): a cell that several boxes got goes to
the one it overlaps most among those that selected it, where Ultralytics asks all boxes that contain it; the least width
of a box is one stride of each grid, where Ultralytics takes 16 px on every grid; the IoU is plain, as in TOOD, where
Ultralytics takes CIoU.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightdet.assigner.positives import CellPositives, GroundTruth
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
    """Positives, and the target 0..1 of each one's class score."""

    score: Tensor  # (K,)


class TaskAligned:
    """Targets and the predictions of all cells -> positives. Carries no gradient.

    Computed on the pairs of a box and a cell inside it only, those of all images together.
    """

    def __init__(self, most: int = 10, alpha: float = 0.5, beta: float = 6.0, least_side: float = 1.0) -> None:
        self.most = most
        self.alpha = alpha
        self.beta = beta
        self.least_side = least_side

    @torch.no_grad()
    def __call__(self, targets: Sequence[Target], cells: ScoredCells) -> SoftPositives:
        """`targets` has one entry per image of `cells`; an image without boxes gives no positive."""
        all_boxes = GroundTruth.of(targets)  # T of them
        image, labels = all_boxes.image, all_boxes.labels
        boxes_xyxy = torch.cat([target.boxes_xyxy for target in targets])
        box, cell = (
            self._inside(all_boxes.boxes_cxcywh, cells).nonzero().unbind(dim=1)
        )  # K pairs, in the order of the boxes
        place = image[box] * len(cells.strides) + cell
        iou = paired_iou(boxes_xyxy[box], cells.boxes_xyxy.flatten(0, 1)[place])
        alignment = cells.scores.flatten(0, 1)[place, labels[box]] ** self.alpha * iou**self.beta
        best = _best_of_each(box, alignment, self.most)
        kept = best[_best_of_each(place[best], iou[best], 1)]  # ordered by place
        box, cell, iou, alignment = box[kept], cell[kept], iou[kept], alignment[kept]
        greatest = torch.zeros(2, len(labels), device=labels.device)  # IoU and alignment of any cell of a box
        greatest.scatter_reduce_(1, box.expand(2, -1), torch.stack((iou, alignment)), "amax")
        least = torch.finfo(alignment.dtype).tiny  # an alignment is a sixth power: 1e-9 would be large beside it
        score = alignment / greatest[1].clamp(min=least)[box] * greatest[0][box]
        return SoftPositives(image[box], cell, boxes_xyxy[box], labels[box], score)

    def _inside(self, boxes_cxcywh: Tensor, cells: ScoredCells) -> Tensor:
        """(T, N) bool: whether the cell's centre lies in the box."""
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
