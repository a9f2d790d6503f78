"""YOLOv5 assignment: an anchor answers for every truth whose sides are less than `max_ratio` times its own.

It does so in the cell of the truth's centre and in the up to two neighbours nearest to that centre. No anchor is
exclusive. Source: the published behaviour of YOLOv5 v2 and later.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightdet.batch import Target
from lightdet.ops.boxes import xyxy_to_cxcywh


@dataclass(slots=True)
class Positives:
    """K places of one grid that must answer for a truth."""

    image: Tensor  # (K,) int64, index in the batch
    anchor: Tensor  # (K,) int64
    row: Tensor  # (K,) int64
    column: Tensor  # (K,) int64
    boxes_cxcywh: Tensor  # (K, 4) px, input frame: the truth
    labels: Tensor  # (K,) int64


class Ratio:
    """Targets and anchors -> the positives of each grid."""

    def __init__(self, max_ratio: float = 4.0, neighbour_offset: float = 0.5) -> None:
        self.max_ratio = max_ratio
        self.neighbour_offset = neighbour_offset

    def __call__(
        self, targets: Sequence[Target], anchors_wh: Tensor, strides: Sequence[int], shapes: Sequence[tuple[int, int]]
    ) -> list[Positives]:
        """anchors_wh (grids, A, 2) px; shapes = (height, width) of each grid -> one `Positives` per grid."""
        boxes = xyxy_to_cxcywh(torch.cat([target.boxes_xyxy for target in targets]))
        labels = torch.cat([target.labels for target in targets])
        counts = torch.tensor([len(target.labels) for target in targets], device=labels.device)
        image = torch.repeat_interleave(torch.arange(len(targets), device=labels.device), counts)
        return [
            self._one_grid(image, boxes, labels, anchors, stride, shape)
            for anchors, stride, shape in zip(anchors_wh, strides, shapes, strict=True)
        ]

    def _one_grid(
        self, image: Tensor, boxes: Tensor, labels: Tensor, anchors: Tensor, stride: int, shape: tuple[int, int]
    ) -> Positives:
        ratio = boxes[:, None, 2:] / anchors[None]  # (N, A, 2)
        truth, anchor = (torch.maximum(ratio, 1 / ratio).amax(dim=-1) < self.max_ratio).nonzero(as_tuple=True)
        centre = boxes[truth, :2] / stride
        limit = centre.new_tensor([shape[1], shape[0]])
        g = self.neighbour_offset
        near_low = (centre % 1 < g) & (centre > 1)  # left or upper neighbour
        near_high = ((limit - centre) % 1 < g) & (limit - centre > 1)  # right or lower neighbour
        everywhere = torch.ones_like(near_low[:, 0])
        chosen = torch.stack((everywhere, near_low[:, 0], near_low[:, 1], near_high[:, 0], near_high[:, 1]))
        steps = centre.new_tensor([[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]])
        step, match = chosen.nonzero(as_tuple=True)
        cell = torch.minimum(centre[match].floor() + steps[step], limit - 1).long()
        truth = truth[match]
        return Positives(image[truth], anchor[match], cell[:, 1], cell[:, 0], boxes[truth], labels[truth])
