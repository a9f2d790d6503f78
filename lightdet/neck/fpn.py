"""Feature pyramid of YOLOv3: coarse maps go up by concatenation, sets of five convolutions in between.

    C5 ---------- set - 3x3 -- fuse(C5) - P5
                   |
              1x1, up
                   |
    C4 --------- cat - set - 3x3 -- fuse(C4) - P4
                        |
                   1x1, up
                        |
    C3 -------------- cat - set - 3x3 -- P3

Source: Redmon and Farhadi 2018, arXiv 1804.02767, section 2.3. The fusion is no part of it: with `plain` there is none.
It is placed where the channels are those of the backbone map of the same stride.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.neck.bricks import ConvSet, adapters, require_three
from lightdet.nn.blocks import ConvBnAct, divisible, leaky_relu
from lightdet.nn.contracts import Fusion, Neck


class Fpn(Neck):
    """[C3, C4, C5] -> [P3, P4, P5], `.channels` = (256, 512, 1024) x width.

    `fusion(channels)` builds a module (deep, shallow) -> fused. A backbone with other channels is brought to the neck's
    by a 1x1 convolution first.
    """

    def __init__(self, channels: Sequence[int], fusion: Callable[[int], Fusion], width: float) -> None:
        super().__init__()
        require_three(channels, "fpn")
        c3, c4, c5 = self.channels = (divisible(256 * width), 2 * divisible(256 * width), 4 * divisible(256 * width))
        self.enter = adapters(channels, self.channels)
        self.set5 = ConvSet(c5, c5 // 2)
        self.reduce5 = ConvBnAct(c5 // 2, c4 // 2, activation=leaky_relu)
        self.set4 = ConvSet(c4 // 2 + c4, c4 // 2)
        self.reduce4 = ConvBnAct(c4 // 2, c3 // 2, activation=leaky_relu)
        self.set3 = ConvSet(c3 // 2 + c3, c3 // 2)
        self.out3 = ConvBnAct(c3 // 2, c3, 3, activation=leaky_relu)
        self.out4 = ConvBnAct(c4 // 2, c4, 3, activation=leaky_relu)
        self.out5 = ConvBnAct(c5 // 2, c5, 3, activation=leaky_relu)
        self.fuse4 = fusion(c4)
        self.fuse5 = fusion(c5)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        c3, c4, c5 = (enter(feature) for enter, feature in zip(self.enter, features, strict=True))
        deep5 = self.set5(c5)
        deep4 = self.set4(torch.cat((F.interpolate(self.reduce5(deep5), size=c4.shape[-2:]), c4), dim=1))
        deep3 = self.set3(torch.cat((F.interpolate(self.reduce4(deep4), size=c3.shape[-2:]), c3), dim=1))
        return [self.out3(deep3), self.fuse4(self.out4(deep4), c4), self.fuse5(self.out5(deep5), c5)]
