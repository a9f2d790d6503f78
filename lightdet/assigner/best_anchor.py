"""YOLOv3 assignment: each ground-truth box is assigned to the anchor, of all grids, of the most similar shape.

The positive is the cell that holds the centre of the box. Source: Redmon and Farhadi 2018, arXiv 1804.02767, section
2.1. Two boxes with the same anchor and cell are both targets of it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightdet.assigner.positives import AnchorAssigner, GroundTruth, Positives
from lightdet.core.errors import LightdetError
from lightdet.core.types import Target
from lightdet.ops.boxes import shape_iou


class BestAnchor(AnchorAssigner):
    """Targets and anchors -> the positives of each grid, one for each ground-truth box.

    `reach_iou`: shape IoU with its best anchor below which a box counts as missed in `recall`.
    Raises LightdetError for one outside 0..1.
    """

    def __init__(self, reach_iou: float = 0.25) -> None:
        if not 0 <= reach_iou <= 1:
            raise LightdetError(f"assigner: {reach_iou} is no shape IoU; give one between 0 and 1")
        self.reach_iou = reach_iou

    def __call__(
        self, targets: Sequence[Target], anchors_wh: Tensor, strides: Sequence[int], shapes: Sequence[tuple[int, int]]
    ) -> list[Positives]:
        all_boxes = GroundTruth.of(targets)
        chosen = self.chosen(shape_iou(all_boxes.boxes_cxcywh[:, 2:], anchors_wh.flatten(0, 1)))
        found = []
        for of_grid, stride, shape in zip(chosen.split(anchors_wh.shape[1], dim=1), strides, shapes, strict=True):
            box, anchor = of_grid.nonzero(as_tuple=True)
            centre = all_boxes.boxes_cxcywh[box, :2] / stride
            cell = torch.minimum(centre.floor(), centre.new_tensor([shape[1], shape[0]]) - 1).long()
            found.append(all_boxes.at(box, anchor, cell))
        return found

    def chosen(self, iou: Tensor) -> Tensor:
        """Shape IoU (N, anchors of all grids) -> bool of the same shape: which anchors are positive."""
        return torch.zeros_like(iou, dtype=torch.bool).scatter_(1, iou.argmax(dim=1, keepdim=True), True)

    def recall(self, box_sizes: Tensor, anchors_wh: Tensor) -> float:
        if len(box_sizes) == 0:
            return 1.0
        return float((shape_iou(box_sizes, anchors_wh.to(box_sizes)).amax(dim=1) > self.reach_iou).float().mean())
