"""What every box loss begins with: the overlap of paired boxes."""

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
    shift_xy: Tensor  # (K, 2) truth centre minus predicted centre
    predicted_wh: Tensor  # (K, 2)
    truth_wh: Tensor  # (K, 2)


def overlap(predicted_xyxy: Tensor, truth_xyxy: Tensor) -> Overlap:
    """(K, 4), (K, 4) px -> `Overlap`."""
    predicted_low, predicted_high = predicted_xyxy.split(2, dim=-1)
    truth_low, truth_high = truth_xyxy.split(2, dim=-1)
    shared = torch.minimum(predicted_high, truth_high) - torch.maximum(predicted_low, truth_low)
    intersection = shared.clamp(min=0).prod(dim=-1)
    predicted_wh, truth_wh = predicted_high - predicted_low, truth_high - truth_low
    union = predicted_wh.prod(dim=-1) + truth_wh.prod(dim=-1) - intersection + EPSILON
    return Overlap(
        iou=intersection / union,
        union=union,
        hull_wh=torch.maximum(predicted_high, truth_high) - torch.minimum(predicted_low, truth_low),
        shift_xy=(truth_low + truth_high - predicted_low - predicted_high) / 2,
        predicted_wh=predicted_wh,
        truth_wh=truth_wh,
    )


def centre_distance(pair: Overlap) -> Tensor:
    """Squared distance of the centres over the squared diagonal of the hull: (K,)."""
    return pair.shift_xy.square().sum(dim=-1) / (pair.hull_wh.square().sum(dim=-1) + EPSILON)
