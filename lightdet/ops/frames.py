"""Boxes from original px to input px and back."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightdet.core.letterbox import Letterbox
from lightdet.ops.boxes import clip


def boxes_to_input(boxes_xyxy: Tensor, placed: Letterbox) -> Tensor:
    """(N, 4), px: original px -> input px."""
    scale, shift = _map(boxes_xyxy, placed)
    return boxes_xyxy * scale + shift


def boxes_to_original(boxes_xyxy: Tensor, placed: Letterbox) -> Tensor:
    """(N, 4), px: input px -> original px, cut at the image's border."""
    scale, shift = _map(boxes_xyxy, placed)
    return clip((boxes_xyxy - shift) / scale, placed.original_height, placed.original_width)


def box_to_original(box_xyxy: Sequence[float], placed: Letterbox) -> tuple[float, float, float, float]:
    """One box, px: input px -> original px, cut at the image's border."""
    left, top, right, bottom = boxes_to_original(torch.tensor([box_xyxy], dtype=torch.float32), placed)[0].tolist()
    return left, top, right, bottom


def _map(boxes_xyxy: Tensor, placed: Letterbox) -> tuple[Tensor, Tensor]:
    """Scale and shift of the four coordinates, original px -> input px."""
    scale = boxes_xyxy.new_tensor([placed.scale_x, placed.scale_y] * 2)
    return scale, boxes_xyxy.new_tensor([placed.left, placed.top] * 2)
