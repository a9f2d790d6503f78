"""Path aggregation neck of YOLOv5 with a place for shallow features before the two coarser grids.

    C5 --1x1--+------------------------------------------ cat - fuse(C5) - CSP2 -- P5
              up                                            ^
    C4 ----- cat - CSP2 -1x1--+-------- cat - fuse(C4) - CSP2 -- P4 -- s2
                              up         ^
    C3 --------------------- cat - CSP2 -- P3 -- s2

Sources: Liu et al. 2018, arXiv 1803.01534 (PAN); Huang 2024, section 2.3 (the branches before the 38 and 19 grids).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightdet.neck.bricks import adapters
from lightdet.nn.blocks import Activation, BottleneckCsp, ConvBnAct, conv_3x3, divisible, repeats
from lightdet.nn.contracts import Fusion, Neck


class Pan(Neck):
    """[C3, C4, C5] -> [P3, P4, P5], `.channels` = (256, 512, 1024) x width.

    `fusion(channels)` builds a module (deep, shallow) -> fused, placed where the bottom-up path has just been
    concatenated: there its channels are those of the backbone map of the same stride, so no projection is needed.
    A backbone with other channels is brought to the neck's by a 1x1 convolution first.

    `block(in_channels, out_channels, count, shortcut=False)` builds what stands as CSP2 above; `depthwise` splits the
    3x3 convolutions of the bottom-up path.
    """

    def __init__(
        self,
        channels: Sequence[int],
        fusion: Callable[[int], Fusion],
        width: float,
        depth: float,
        block: Callable[..., nn.Module] = BottleneckCsp,
        activation: Activation = nn.Hardswish,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        count = repeats(3, depth)
        c3, c4, c5 = self.channels = (divisible(256 * width), 2 * divisible(256 * width), 4 * divisible(256 * width))
        self.enter = adapters(channels, self.channels, activation)
        self.reduce5 = ConvBnAct(c5, c4, activation=activation)
        self.top_down4 = block(2 * c4, c4, count, shortcut=False)
        self.reduce4 = ConvBnAct(c4, c3, activation=activation)
        self.top_down3 = block(2 * c3, c3, count, shortcut=False)
        self.down3 = conv_3x3(c3, c3, 2, activation, depthwise)
        self.fuse4 = fusion(c4)
        self.bottom_up4 = block(c4, c4, count, shortcut=False)
        self.down4 = conv_3x3(c4, c4, 2, activation, depthwise)
        self.fuse5 = fusion(c5)
        self.bottom_up5 = block(c5, c5, count, shortcut=False)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        c3, c4, c5 = (enter(feature) for enter, feature in zip(self.enter, features, strict=True))
        lateral5 = self.reduce5(c5)
        lateral4 = self.reduce4(self.top_down4(torch.cat((F.interpolate(lateral5, size=c4.shape[-2:]), c4), dim=1)))
        p3 = self.top_down3(torch.cat((F.interpolate(lateral4, size=c3.shape[-2:]), c3), dim=1))
        p4 = self.bottom_up4(self.fuse4(torch.cat((self.down3(p3), lateral4), dim=1), c4))
        p5 = self.bottom_up5(self.fuse5(torch.cat((self.down4(p4), lateral5), dim=1), c5))
        return [p3, p4, p5]
