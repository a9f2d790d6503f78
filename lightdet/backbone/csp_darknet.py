"""The YOLOv5 v3 backbone: Focus, four stages of BottleneckCsp, SPP before the last.

Source: the published structure of YOLOv5 v3.x (the baseline that Huang 2024 starts from); CSP: arXiv 1911.11929.
"""

from torch import Tensor, nn

from lightdet.nn.blocks import BottleneckCsp, ConvBnAct, Focus, Spp, divisible, repeats
from lightdet.nn.contracts import Backbone


class CspDarknet(Backbone):
    """(B, 3, H, W) -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each.

    `width` multiplies the channels 64..1024, `depth` the repeats 3, 9, 9, 3.
    """

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (divisible(channels * width) for channels in (64, 128, 256, 512, 1024))
        self.channels = (c3, c4, c5)
        self.stem = nn.Sequential(Focus(3, c1), ConvBnAct(c1, c2, 3, 2), self.stage(c2, repeats(3, depth)))
        self.stage3 = nn.Sequential(ConvBnAct(c2, c3, 3, 2), self.stage(c3, repeats(9, depth)))
        self.stage4 = nn.Sequential(ConvBnAct(c3, c4, 3, 2), self.stage(c4, repeats(9, depth)))
        self.stage5 = nn.Sequential(ConvBnAct(c4, c5, 3, 2), Spp(c5, c5), self.last(c5, repeats(3, depth)))

    def stage(self, channels: int, count: int) -> nn.Module:
        """What the strided convolutions of the first three stages are followed by (CSP1_X)."""
        return BottleneckCsp(channels, channels, count, shortcut=True)

    def last(self, channels: int, count: int) -> nn.Module:
        """What follows the final SPP (CSP2_X)."""
        return BottleneckCsp(channels, channels, count, shortcut=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        c3 = self.stage3(self.stem(images))
        c4 = self.stage4(c3)
        return [c3, c4, self.stage5(c4)]
