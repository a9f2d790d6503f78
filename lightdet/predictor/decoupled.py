"""The anchor-free predictor of YOLOX, with separate branches for class and box. Ge et al. 2021, arXiv 2107.08430.

Per cell one box: centre = (t_xy + cell) * stride, size = exp(t_wh) * stride, all in input pixels; at t = 0 the centre
is the upper left corner of the cell. Differs: exp is bounded at `LARGEST_LOG_SIZE`, so that no box is infinite.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightdet.nn.blocks import ConvBnAct, conv_3x3
from lightdet.ops.boxes import cxcywh_to_xyxy
from lightdet.predictor.per_cell import PerCell

PRIOR = 0.01  # probability of an object, and of each class, that an untrained cell starts from
LARGEST_LOG_SIZE = 8.0  # of a box side in strides: e^8 = 2981


class Decoupled(PerCell):
    """[(B, C_i, H_i, W_i)] -> raw maps [(B, 5 + num_classes, H_i, W_i)]: x, y, w, h, objectness, classes.

    Both branches are as wide as the finest map; `depthwise` splits their 3x3 convolutions.
    """

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], num_classes: int, depthwise: bool = False
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.strides = tuple(strides)
        hidden = channels[0]

        def branch() -> nn.Sequential:
            return nn.Sequential(*(conv_3x3(hidden, hidden, activation=nn.SiLU, depthwise=depthwise) for _ in range(2)))

        self.stems = nn.ModuleList(ConvBnAct(c, hidden, activation=nn.SiLU) for c in channels)
        self.class_branches = nn.ModuleList(branch() for _ in channels)
        self.box_branches = nn.ModuleList(branch() for _ in channels)
        self.classes = nn.ModuleList(_from_prior(nn.Conv2d(hidden, num_classes, 1)) for _ in channels)
        self.boxes = nn.ModuleList(nn.Conv2d(hidden, 4, 1) for _ in channels)
        self.objectness = nn.ModuleList(_from_prior(nn.Conv2d(hidden, 1, 1)) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        raw_maps = []
        for level, feature in enumerate(features):
            stem = self.stems[level](feature)
            of_class, of_box = self.class_branches[level](stem), self.box_branches[level](stem)
            parts = (self.boxes[level](of_box), self.objectness[level](of_box), self.classes[level](of_class))
            raw_maps.append(torch.cat(parts, dim=1))
        return raw_maps

    def decode(self, raw_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw maps -> boxes_xyxy (B, N, 4) in input px, scores (B, N, num_classes) = objectness x class."""
        raw = self.flatten(raw_maps)
        probability = raw[..., 4:].sigmoid()
        boxes = boxes_from_cells(raw[..., :4], *self.cells(raw_maps))
        return cxcywh_to_xyxy(boxes), probability[..., :1] * probability[..., 1:]


def boxes_from_cells(offsets: Tensor, cells: Tensor, strides: Tensor) -> Tensor:
    """Raw x, y, w, h (..., 4), cells (..., 2), strides (..., 1) px -> boxes_cxcywh (..., 4) px."""
    size = offsets[..., 2:].clamp(max=LARGEST_LOG_SIZE).exp() * strides
    return torch.cat(((offsets[..., :2] + cells) * strides, size), dim=-1)


def offsets_from_boxes(boxes_cxcywh: Tensor, cells: Tensor, strides: Tensor) -> Tensor:
    """The inverse of `boxes_from_cells`; a side of a box counts as at least 1e-8 strides."""
    size = (boxes_cxcywh[..., 2:] / strides).clamp(min=1e-8).log()
    return torch.cat((boxes_cxcywh[..., :2] / strides - cells, size), dim=-1)


def _from_prior(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution with its bias at the prior's logit."""
    assert conv.bias is not None
    nn.init.constant_(conv.bias, -math.log((1 - PRIOR) / PRIOR))
    return conv
