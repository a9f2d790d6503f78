"""Normalised Gaussian Wasserstein distance, Wang et al. 2021, arXiv 2110.13389: boxes of a few px as Gaussians.

NWD = exp(-W / constant), where W is the distance of (cx, cy, w / 2, h / 2). Unlike IoU it falls off smoothly for small
disjoint boxes. It is not invariant to scale: a box far larger than `constant` gets almost no gradient from it.
"""

import torch
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.loss.box.overlap import EPSILON, overlap


class Nwd:
    """(K, 4), (K, 4) px -> (K,) iou_share * (1 - IoU) + (1 - iou_share) * (1 - NWD), in 0..1.

    `constant`: px, input frame; about the mean side of the objects. Differs: the paper has iou_share 0. Raises
    LightdetError for a constant that is not positive and a share outside 0..1.
    """

    def __init__(self, constant: float = 12.8, iou_share: float = 0.5) -> None:
        if not constant > 0:
            raise LightdetError(f"loss/box=nwd: constant={constant}: give a length in px, above 0")
        if not 0 <= iou_share <= 1:
            raise LightdetError(f"loss/box=nwd: iou_share={iou_share}: a share between 0 and 1")
        self.constant = constant
        self.iou_share = iou_share

    def __call__(self, predicted_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
        pair = overlap(predicted_xyxy, target_xyxy)
        halves = (pair.target_wh - pair.predicted_wh) / 2
        distance = (pair.shift_xy.square().sum(dim=-1) + halves.square().sum(dim=-1) + EPSILON).sqrt()
        apart = 1 - torch.exp(-distance / self.constant)
        return self.iou_share * (1 - pair.iou) + (1 - self.iou_share) * apart
