"""Box arithmetic: the only place where formats change.

`xyxy` = left, top, right, bottom; `cxcywh` = centre x, centre y, width, height; all in the same frame.
"""

import torch
from torch import Tensor


def xyxy_to_cxcywh(boxes_xyxy: Tensor) -> Tensor:
    """(..., 4) -> (..., 4)."""
    left_top, right_bottom = boxes_xyxy.split(2, dim=-1)
    return torch.cat(((left_top + right_bottom) / 2, right_bottom - left_top), dim=-1)


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """(..., 4) -> (..., 4)."""
    centre, size = boxes_cxcywh.split(2, dim=-1)
    return torch.cat((centre - size / 2, centre + size / 2), dim=-1)


def area(boxes_xyxy: Tensor) -> Tensor:
    """(..., 4) -> (...), square pixels; an inverted box has area 0."""
    return (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).clamp(min=0).prod(dim=-1)


def pairwise_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """IoU of every box with every other: (N, 4), (M, 4) -> (N, M)."""
    return paired_iou(first_xyxy[:, None], second_xyxy[None])


def paired_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """IoU of each box with the one in its place: (..., 4), (..., 4) -> (...)."""
    left_top = torch.maximum(first_xyxy[..., :2], second_xyxy[..., :2])
    right_bottom = torch.minimum(first_xyxy[..., 2:], second_xyxy[..., 2:])
    intersection = (right_bottom - left_top).clamp(min=0).prod(dim=-1)
    union = area(first_xyxy) + area(second_xyxy) - intersection
    return intersection / union.clamp(min=1e-9)


def pairwise_share(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """The share of each first box that lies in each second one: (N, 4), (M, 4) -> (N, M)."""
    first, second = first_xyxy[:, None], second_xyxy[None]
    left_top = torch.maximum(first[..., :2], second[..., :2])
    inside = (torch.minimum(first[..., 2:], second[..., 2:]) - left_top).clamp(min=0).prod(dim=-1)
    return inside / area(first).clamp(min=1e-9)


def shape_iou(first_wh: Tensor, second_wh: Tensor) -> Tensor:
    """IoU of boxes laid upon each other, so that shape alone counts: (N, 2), (M, 2) -> (N, M)."""
    intersection = torch.minimum(first_wh[:, None], second_wh[None]).prod(dim=-1)
    union = first_wh.prod(dim=-1)[:, None] + second_wh.prod(dim=-1)[None] - intersection
    return intersection / union.clamp(min=1e-9)


def clip(boxes_xyxy: Tensor, height: int, width: int) -> Tensor:
    """Boxes cut at the border of an image of that size (px)."""
    limit = boxes_xyxy.new_tensor([width, height, width, height])
    return torch.minimum(boxes_xyxy.clamp(min=0), limit)
