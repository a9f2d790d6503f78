"""SIoU loss, Gevorgyan 2022, arXiv 2205.12740: the distance counts more the nearer its direction is to an axis,
plus a shape term."""

import math

import torch
from torch import Tensor

from lightdet.loss.box.overlap import EPSILON, overlap

SHAPE_POWER = 4


class Siou:
    """(K, 4), (K, 4) px -> (K,) 1 - IoU + (distance + shape) / 2."""

    def __call__(self, predicted_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
        pair = overlap(predicted_xyxy, target_xyxy)
        length = (pair.shift_xy.square().sum(dim=-1) + EPSILON).sqrt()
        sine = (pair.shift_xy.abs().amin(dim=-1) / length).clamp(max=math.sqrt(0.5))  # of the angle below 45 degrees
        angle = torch.cos(2 * torch.asin(sine) - math.pi / 2)
        reach = (pair.shift_xy / (pair.hull_wh + EPSILON)).square()
        distance = (1 - torch.exp(-(2 - angle)[..., None] * reach)).sum(dim=-1)
        larger = torch.maximum(pair.predicted_wh, pair.target_wh) + EPSILON
        mismatch = (pair.predicted_wh - pair.target_wh).abs() / larger
        shape = (1 - torch.exp(-mismatch)).pow(SHAPE_POWER).sum(dim=-1)
        return 1 - pair.iou + (distance + shape) / 2
