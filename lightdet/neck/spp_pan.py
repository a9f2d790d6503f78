"""Neck of YOLOv4: SPP on the coarsest map, then path aggregation by concatenation, up and down again.

    C5 -- SPP --+----------------------------------- cat - fuse(C5) - set - 3x3 - P5
           1x1, up                                    |
    C4 --1x1-- cat - set --+-------- cat - fuse(C4) - set - 3x3 - P4
                      1x1, up         |                |
    C3 -------------1x1-- cat - set --+- 3x3 - P3     3x3 s2 (each way down)

Source: Bochkovskiy et al. 2020, arXiv 2004.10934, section 3.4. The fusion is no part of it: with `plain` there is none.
It is placed where `pan` has it.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightdet.neck.bricks import ConvSet, adapters, require_three
from lightdet.nn.blocks import ConvBnAct, Spp, divisible, leaky_relu
from lightdet.nn.contracts import Fusion, Neck


class SppPan(Neck):
    """[C3, C4, C5] -> [P3, P4, P5], `.channels` = (256, 512, 1024) x width.

    `fusion(channels)` builds a module (deep, shallow) -> fused, placed where the bottom-up path has just been
    concatenated. A backbone with other channels is brought to the neck's by a 1x1 convolution first.
    """

    def __init__(self, channels: Sequence[int], fusion: Callable[[int], Fusion], width: float) -> None:
        super().__init__()
        require_three(channels, "spp_pan")
        c3, c4, c5 = self.channels = (divisible(256 * width), 2 * divisible(256 * width), 4 * divisible(256 * width))
        self.enter = adapters(channels, self.channels)
        self.pyramid = nn.Sequential(
            ConvBnAct(c5, c5 // 2, activation=leaky_relu),
            ConvBnAct(c5 // 2, c5, 3, activation=leaky_relu),
            Spp(c5, c5 // 2, activation=leaky_relu),
            ConvBnAct(c5 // 2, c5, 3, activation=leaky_relu),
            ConvBnAct(c5, c5 // 2, activation=leaky_relu),
        )
        self.reduce5 = ConvBnAct(c5 // 2, c4 // 2, activation=leaky_relu)
        self.lateral4 = ConvBnAct(c4, c4 // 2, activation=leaky_relu)
        self.top_down4 = ConvSet(c4, c4 // 2)
        self.reduce4 = ConvBnAct(c4 // 2, c3 // 2, activation=leaky_relu)
        self.lateral3 = ConvBnAct(c3, c3 // 2, activation=leaky_relu)
        self.top_down3 = ConvSet(c3, c3 // 2)
        self.down3 = ConvBnAct(c3 // 2, c4 // 2, 3, 2, activation=leaky_relu)
        self.fuse4 = fusion(c4)
        self.bottom_up4 = ConvSet(c4, c4 // 2)
        self.down4 = ConvBnAct(c4 // 2, c5 // 2, 3, 2, activation=leaky_relu)
        self.fuse5 = fusion(c5)
        self.bottom_up5 = ConvSet(c5, c5 // 2)
        self.out = nn.ModuleList(ConvBnAct(c // 2, c, 3, activation=leaky_relu) for c in self.channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        c3, c4, c5 = (enter(feature) for enter, feature in zip(self.enter, features, strict=True))
        deep5 = self.pyramid(c5)
        up5 = F.interpolate(self.reduce5(deep5), size=c4.shape[-2:])
        deep4 = self.top_down4(torch.cat((self.lateral4(c4), up5), dim=1))
        up4 = F.interpolate(self.reduce4(deep4), size=c3.shape[-2:])
        p3 = self.top_down3(torch.cat((self.lateral3(c3), up4), dim=1))
        p4 = self.bottom_up4(self.fuse4(torch.cat((self.down3(p3), deep4), dim=1), c4))
        p5 = self.bottom_up5(self.fuse5(torch.cat((self.down4(p4), deep5), dim=1), c5))
        return [out(p) for out, p in zip(self.out, (p3, p4, p5), strict=True)]
