"""Anchor predictor decoded as YOLOv3 does, with the grid sensitivity of YOLOv4.

centre = (s sigmoid(t_xy) - (s - 1) / 2 + cell) * stride, size = exp(t_wh) * anchor, all in input pixels. Sources:
Redmon and Farhadi 2018, arXiv 1804.02767, section 2.1 (s = 1); Bochkovskiy et al. 2020, arXiv 2004.10934, section 4.3
(s > 1 lets a centre reach the border of its cell). Differs: exp is held at `LARGEST_GROWTH`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.ops.anchors import Anchors
from lightdet.predictor.anchor import Anchor

LARGEST_GROWTH = 64.0  # times its anchor a box may grow to: a stray output must not overflow


class Yolov3Anchor(Anchor):
    """[(B, C_i, H_i, W_i)] -> raw maps [(B, A * (5 + num_classes), H_i, W_i)].

    `centre_scale`: s of each grid, from fine to coarse. Raises LightdetError for one below 1 and for a wrong count.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        num_classes: int,
        anchors: Anchors | None = None,
        centre_scale: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__(channels, strides, num_classes, anchors)
        if len(centre_scale) != len(self.strides) or min(centre_scale) < 1:
            raise LightdetError(
                f"model.network.predictor.centre_scale={list(centre_scale)}: "
                f"give {len(self.strides)} numbers, each 1 or more"
            )
        self.centre_scale = tuple(centre_scale)
        self.reach = (min(centre_scale) - 1) / 2

    def activate(self, raw: Tensor) -> Tensor:
        growth = raw[..., 2:4].clamp(max=math.log(LARGEST_GROWTH)).exp()
        return torch.cat((raw[..., :2].sigmoid(), growth, raw[..., 4:].sigmoid()), dim=-1)

    def boxes(self, active: Tensor, cells: Tensor, anchors_wh: Tensor, level: int) -> Tensor:
        scale = self.centre_scale[level]
        centre = (scale * active[..., :2] - (scale - 1) / 2 + cells) * self.strides[level]
        return torch.cat((centre, active[..., 2:] * anchors_wh), dim=-1)
