"""The YOLOv5 v3 backbone: Focus, four stages of BottleneckCsp, SPP before the last.

Other blocks and another activation make the other backbones of this shape.

Source: the published structure of YOLOv5 v3.x (the baseline that Huang 2024 starts from); CSP: arXiv 1911.11929.
"""

from torch import nn

from lightdet.backbone.staged import Staged
from lightdet.nn.blocks import Activation, BottleneckCsp, Focus, Spp, conv_3x3, divisible, repeats


class CspDarknet(Staged):
    """(B, in_channels, H, W) -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each.

    `width` multiplies the channels 64..1024, `depth` the repeats 3, 9, 9, 3; `depthwise` splits the 3x3 convolutions.
    """

    def __init__(
        self,
        width: float,
        depth: float,
        activation: Activation = nn.Hardswish,
        depthwise: bool = False,
        in_channels: int = 3,
        finest_stride: int = 8,
    ) -> None:
        c1, c2, c3, c4, c5 = (divisible(channels * width) for channels in (64, 128, 256, 512, 1024))
        super().__init__((c2, c3, c4, c5), finest_stride, in_channels)

        def down(in_channels: int, out_channels: int) -> nn.Module:
            return conv_3x3(in_channels, out_channels, 2, activation, depthwise)

        self.stem = nn.Sequential(Focus(in_channels, c1, activation), down(c1, c2), self.stage(c2, repeats(3, depth)))
        self.stage3 = nn.Sequential(down(c2, c3), self.stage(c3, repeats(9, depth)))
        self.stage4 = nn.Sequential(down(c3, c4), self.stage(c4, repeats(9, depth)))
        self.stage5 = nn.Sequential(down(c4, c5), Spp(c5, c5, activation), self.last(c5, repeats(3, depth)))

    def stage(self, channels: int, count: int) -> nn.Module:
        """What the strided convolutions of the first three stages are followed by (CSP1_X)."""
        return BottleneckCsp(channels, channels, count, shortcut=True)

    def last(self, channels: int, count: int) -> nn.Module:
        """What follows the final SPP (CSP2_X)."""
        return BottleneckCsp(channels, channels, count, shortcut=False)
