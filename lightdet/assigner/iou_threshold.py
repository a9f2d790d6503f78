"""YOLOv4 assignment: a ground-truth box is assigned to every anchor of a similar shape, the best one included.

Source: Bochkovskiy et al. 2020, arXiv 2004.10934, section 4.3 ("IoU threshold"); 0.213 is that of the published model.
"""

from torch import Tensor

from lightdet.assigner.best_anchor import BestAnchor


class IouThreshold(BestAnchor):
    """Targets and anchors -> the positives of each grid, one or more per ground-truth box, in its centre's cell."""

    def __init__(self, iou_threshold: float = 0.213) -> None:
        super().__init__(reach_iou=iou_threshold)

    def chosen(self, iou: Tensor) -> Tensor:
        return super().chosen(iou) | (iou > self.reach_iou)
