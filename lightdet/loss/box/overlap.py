"""The overlap of paired boxes, which every box loss starts from."""

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-7


@dataclass(slots=True)
class Overlap:
    """Of K pairs; lengths in px."""

    iou: Tensor  # (K,)
    union: Tensor  # (K,) px^2
    hull_wh: Tensor  # (K, 2) the smallest box that holds both
    shift_xy: Tensor  # (K, 2) target centre minus predicted centre
    predicted_wh: Tensor  # (K, 2)
    target_wh: Tensor  # (K, 2)


def overlap(predicted_xyxy: Tensor, target_xyxy: Tensor) -> Overlap:
    """(K, 4), (K, 4) px -> `Overlap`."""
    predicted_low, predicted_high = predicted_xyxy.split(2, dim=-1)
    target_low, target_high = target_xyxy.split(2, dim=-1)
    shared = torch.minimum(predicted_high, target_high) - torch.maximum(predicted_low, target_low)
    intersection = shared.clamp(min=0).prod(dim=-1)
    predicted_wh, target_wh = predicted_high - predicted_low, target_high - target_low
    union = predicted_wh.prod(dim=-1) + target_wh.prod(dim=-1) - intersection + EPSILON
    return Overlap(
        iou=intersection / union,
        union=union,
        hull_wh=torch.maximum(predicted_high, target_high) - torch.minimum(predicted_low, target_low),
        shift_xy=(target_low + target_high - predicted_low - predicted_high) / 2,
        predicted_wh=predicted_wh,
        target_wh=target_wh,
    )


def centre_distance(pair: Overlap) -> Tensor:
    """Squared distance of the centres over the squared diagonal of the hull: (K,)."""
    return pair.shift_xy.square().sum(dim=-1) / (pair.hull_wh.square().sum(dim=-1) + EPSILON)
