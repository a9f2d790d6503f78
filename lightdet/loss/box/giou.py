"""Generalized IoU loss, Rezatofighi et al. 2019, arXiv 1902.09630; Huang 2024 eq. 10 and 11."""

from torch import Tensor

from lightdet.loss.box.overlap import EPSILON, overlap


class Giou:
    """(K, 4), (K, 4) px -> (K,) 1 - (IoU - empty share of the hull), in 0..2."""

    def __call__(self, predicted_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
        pair = overlap(predicted_xyxy, target_xyxy)
        hull = pair.hull_wh.prod(dim=-1) + EPSILON
        return 1 - pair.iou + (hull - pair.union) / hull
