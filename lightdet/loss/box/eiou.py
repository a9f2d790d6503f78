"""Efficient IoU loss, Zhang et al. 2022, arXiv 2101.08158: distance IoU plus the sides' own distances."""

from torch import Tensor

from lightdet.loss.box.overlap import EPSILON, centre_distance, overlap


class Eiou:
    """(K, 4), (K, 4) px -> (K,) 1 - IoU + centre distance + squared difference of each side over the hull's side."""

    def __call__(self, predicted_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
        pair = overlap(predicted_xyxy, target_xyxy)
        sides = (pair.predicted_wh - pair.target_wh).square() / (pair.hull_wh.square() + EPSILON)
        return 1 - pair.iou + centre_distance(pair) + sides.sum(dim=-1)
