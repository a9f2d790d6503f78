"""The YOLOv4 backbone: Darknet-53 with cross-stage partial stages and Mish.

Sources: Bochkovskiy et al. 2020, arXiv 2004.10934, section 3.4; Wang et al. 2019, arXiv 1911.11929 (CSP); Misra 2019,
arXiv 1908.08681 (Mish). Beside `BottleneckCsp` of YOLOv5, both branches keep their norms and activations.
"""

import torch
from torch import Tensor, nn

from lightdet.backbone.darknet53 import Darknet53
from lightdet.nn.blocks import Bottleneck, ConvBnAct


class CspStage(nn.Module):
    """One branch of `hidden` channels passes residual units, another goes around them: (B, C, H, W) -> same shape.

    `narrow`: channels inside a unit.
    """

    def __init__(self, channels: int, hidden: int, narrow: int, count: int) -> None:
        super().__init__()
        self.enter = ConvBnAct(channels, hidden, activation=nn.Mish)
        self.bypass = ConvBnAct(channels, hidden, activation=nn.Mish)
        self.units = nn.Sequential(*(Bottleneck(hidden, True, nn.Mish, hidden=narrow) for _ in range(count)))
        self.leave = ConvBnAct(hidden, hidden, activation=nn.Mish)
        self.merge = ConvBnAct(2 * hidden, channels, activation=nn.Mish)

    def forward(self, x: Tensor) -> Tensor:
        deep = self.leave(self.units(self.enter(x)))
        return self.merge(torch.cat((deep, self.bypass(x)), dim=1))


class CspDarknet53(Darknet53):
    """(B, in_channels, H, W) -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each."""

    def activation(self) -> nn.Module:
        return nn.Mish()

    def first_stage(self, channels: int) -> nn.Module:
        """Both branches keep all channels here."""
        return CspStage(channels, channels, channels // 2, 1)

    def stage(self, channels: int, count: int) -> nn.Module:
        return CspStage(channels, channels // 2, channels // 2, count)
