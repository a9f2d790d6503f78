"""An anchor-free predictor without objectness: a score per class, and four distances predicted as distributions.

Li et al. 2020, arXiv 2006.04388 (generalized focal loss): the distance from a cell's centre to each side of the box is
the mean of `bins` probabilities over 0, 1, ... bins - 1 strides. With one bin the distance is a single number, exp(t)
strides.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lightdet.nn.blocks import ConvBnAct, activation_named, conv_3x3
from lightdet.predictor.per_cell import PerCell

PRIOR_BOXES = 5.0  # boxes that an untrained predictor expects in an image of 640 px
LARGEST_LOG_DISTANCE = 6.0  # of a single number: e^6 = 403 strides


class Distances(PerCell):
    """[(B, C_i, H_i, W_i)] -> raw maps [(B, 4 bins + num_classes, H_i, W_i)]: left, top, right, bottom, classes.

    Class and box have separate branches, of `convolutions` 3x3 convolutions with `hidden` channels (0: as many as
    the finest map has); `depthwise` splits those. `activation`: silu, hardswish, relu or relu6.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        num_classes: int,
        bins: int = 16,
        hidden: int = 0,
        convolutions: int = 1,
        depthwise: bool = False,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.strides = tuple(strides)
        self.bins = bins
        hidden = hidden or channels[0]
        act = activation_named(activation)

        def branch(in_channels: int, out_channels: int) -> nn.Sequential:
            widths = [in_channels] + [hidden] * convolutions
            convs = [conv_3x3(before, after, activation=act, depthwise=depthwise) for before, after in pairwise(widths)]
            return nn.Sequential(*convs, nn.Conv2d(widths[-1], out_channels, 1))

        self.stems = nn.ModuleList(ConvBnAct(c, hidden, activation=act) for c in channels)
        self.boxes = nn.ModuleList(branch(hidden, 4 * bins) for _ in channels)
        self.classes = nn.ModuleList(branch(hidden, num_classes) for _ in channels)
        for boxes, classes, stride in zip(self.boxes, self.classes, self.strides, strict=True):
            cells = (640 / stride) ** 2
            nn.init.constant_(_bias(classes), math.log(PRIOR_BOXES / num_classes / cells))
            nn.init.constant_(_bias(boxes), 1.0)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        raw_maps = []
        for level, feature in enumerate(features):
            stem = self.stems[level](feature)
            raw_maps.append(torch.cat((self.boxes[level](stem), self.classes[level](stem)), dim=1))
        return raw_maps

    @property
    def widest(self) -> float:
        """Side (px) of the largest predictable box: all four distances in the last bin, on the coarsest grid."""
        return math.inf if self.bins == 1 else 2.0 * (self.bins - 1) * max(self.strides)

    def centres(self, raw_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Centre of each of the N cells (N, 2) px and its stride (N, 1) px, in the order of `flatten`."""
        cells, strides = self.cells(raw_maps)
        return (cells + 0.5) * strides, strides

    def distances(self, raw: Tensor) -> Tensor:
        """Raw box outputs (..., 4 bins) -> left, top, right, bottom (..., 4) in strides."""
        if self.bins == 1:
            return raw.clamp(max=LARGEST_LOG_DISTANCE).exp()
        marks = torch.arange(self.bins, dtype=raw.dtype, device=raw.device)
        shares = raw.unflatten(-1, (4, self.bins)).softmax(dim=-1)
        return (shares * marks).sum(dim=-1)  # a product of matrices would be rounded to bfloat16 under autocast

    def boxes_xyxy(self, raw: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
        """Raw box outputs (..., 4 bins), centres (..., 2) px, strides (..., 1) px -> boxes_xyxy (..., 4) px."""
        before, after = (self.distances(raw) * strides).split(2, dim=-1)
        return torch.cat((centres - before, centres + after), dim=-1)

    def decode(self, raw_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw maps -> boxes_xyxy (B, N, 4) in input px, scores (B, N, num_classes)."""
        boxes, classes = self.flatten(raw_maps).split((4 * self.bins, self.num_classes), dim=-1)
        return self.boxes_xyxy(boxes, *self.centres(raw_maps)), classes.sigmoid()


def _bias(branch: nn.Module) -> Tensor:
    assert isinstance(branch, nn.Sequential)
    bias = branch[-1].bias
    assert isinstance(bias, Tensor)
    return bias
