"""The YOLOv3 backbone: five stages of residual units, each begun by a convolution of stride 2.

Source: Redmon and Farhadi 2018, arXiv 1804.02767, section 2.4.
"""

from torch import nn

from lightdet.backbone.staged import Staged
from lightdet.nn.blocks import Bottleneck, ConvBnAct, divisible, leaky_relu, repeats


class Darknet53(Staged):
    """(B, in_channels, H, W) -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each.

    `width` multiplies the channels 32..1024, `depth` the repeats 1, 2, 8, 8, 4.
    """

    def __init__(self, width: float, depth: float, in_channels: int = 3, finest_stride: int = 8) -> None:
        c0, c1, c2, c3, c4, c5 = (divisible(channels * width) for channels in (32, 64, 128, 256, 512, 1024))
        super().__init__((c2, c3, c4, c5), finest_stride, in_channels)
        first = nn.Sequential(ConvBnAct(in_channels, c0, 3, activation=self.activation), self.down(c0, c1))
        self.stem = nn.Sequential(first, self.first_stage(c1), self.down(c1, c2), self.stage(c2, repeats(2, depth)))
        self.stage3 = nn.Sequential(self.down(c2, c3), self.stage(c3, repeats(8, depth)))
        self.stage4 = nn.Sequential(self.down(c3, c4), self.stage(c4, repeats(8, depth)))
        self.stage5 = nn.Sequential(self.down(c4, c5), self.stage(c5, repeats(4, depth)))

    def activation(self) -> nn.Module:
        """What follows every BatchNorm."""
        return leaky_relu()

    def down(self, in_channels: int, out_channels: int) -> nn.Module:
        return ConvBnAct(in_channels, out_channels, 3, 2, activation=self.activation)

    def first_stage(self, channels: int) -> nn.Module:
        """The single unit at stride 2."""
        return self.stage(channels, 1)

    def stage(self, channels: int, count: int) -> nn.Module:
        """What a strided convolution is followed by."""
        units = (Bottleneck(channels, True, self.activation, hidden=channels // 2) for _ in range(count))
        return nn.Sequential(*units)
