"""YOLOv5 assignment: an anchor is positive for every box whose sides differ by less than a factor of `max_ratio`.

Positive are the cell that holds the centre of the box and the up to two neighbours nearest to that centre. One anchor
may serve several boxes, and one box several anchors. Source: the published behaviour of YOLOv5 v2 and later.
Differs: there, a centre on the border of two cells makes its own cell positive twice; here once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightdet.assigner.anchors import best_possible_recall
from lightdet.assigner.positives import AnchorAssigner, GroundTruth, Positives
from lightdet.core.types import Target


class Ratio(AnchorAssigner):
    """Targets and anchors -> the positives of each grid.

    A neighbour is positive where the centre is less than `neighbour_offset` cells away from it; 0: none is.
    """

    def __init__(self, max_ratio: float = 4.0, neighbour_offset: float = 0.5) -> None:
        self.max_ratio = max_ratio
        self.neighbour_offset = neighbour_offset

    @property
    def beyond(self) -> float:
        return self.neighbour_offset

    def __call__(
        self, targets: Sequence[Target], anchors_wh: Tensor, strides: Sequence[int], shapes: Sequence[tuple[int, int]]
    ) -> list[Positives]:
        all_boxes = GroundTruth.of(targets)
        return [
            self._one_grid(all_boxes, anchors, stride, shape)
            for anchors, stride, shape in zip(anchors_wh, strides, shapes, strict=True)
        ]

    def recall(self, box_sizes: Tensor, anchors_wh: Tensor) -> float:
        return best_possible_recall(box_sizes, anchors_wh, self.max_ratio)

    def _one_grid(self, all_boxes: GroundTruth, anchors: Tensor, stride: int, shape: tuple[int, int]) -> Positives:
        boxes = all_boxes.boxes_cxcywh
        ratio = boxes[:, None, 2:] / anchors[None]  # (N, A, 2)
        box, anchor = (torch.maximum(ratio, 1 / ratio).amax(dim=-1) < self.max_ratio).nonzero(as_tuple=True)
        centre = boxes[box, :2] / stride
        limit = centre.new_tensor([shape[1], shape[0]])
        g = self.neighbour_offset
        near_low = (centre % 1 < g) & (centre > 1)  # left or upper neighbour
        near_high = (centre % 1 > 1 - g) & (limit - centre > 1)  # right or lower neighbour
        everywhere = torch.ones_like(near_low[:, 0])
        chosen = torch.stack((everywhere, near_low[:, 0], near_low[:, 1], near_high[:, 0], near_high[:, 1]))
        steps = centre.new_tensor([[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]])
        step, match = chosen.nonzero(as_tuple=True)
        cell = torch.minimum(centre[match].floor() + steps[step], limit - 1).long()
        return all_boxes.at(box[match], anchor[match], cell)
