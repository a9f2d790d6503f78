"""Complete IoU loss, Zheng et al. 2020, arXiv 1911.08287: distance IoU plus a term for the aspect ratio."""

import math

import torch
from torch import Tensor

from lightdet.loss.box.overlap import EPSILON, centre_distance, overlap


class Ciou:
    """(K, 4), (K, 4) px -> (K,). The weight of the aspect term carries no gradient, as in the paper."""

    def __call__(self, predicted_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
        pair = overlap(predicted_xyxy, target_xyxy)
        angle = torch.atan2(pair.target_wh[..., 0], pair.target_wh[..., 1]) - torch.atan2(
            pair.predicted_wh[..., 0], pair.predicted_wh[..., 1] + EPSILON
        )
        aspect = 4 / math.pi**2 * angle.square()
        with torch.no_grad():
            weight = aspect / (1 - pair.iou + aspect + EPSILON)
        return 1 - pair.iou + centre_distance(pair) + weight * aspect
