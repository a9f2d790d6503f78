"""The YOLOX backbone: the shape of `CspDarknet`, made of CspLayers with SiLU. Ge et al. 2021, arXiv 2107.08430.

`depthwise` is YOLOX-Nano's: every 3x3 convolution but the first is split.
"""

from torch import nn

from lightdet.backbone.csp_darknet import CspDarknet
from lightdet.nn.blocks import CspLayer


class CspLayerDarknet(CspDarknet):
    """(B, in_channels, H, W) -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each."""

    def __init__(
        self, width: float, depth: float, depthwise: bool = False, in_channels: int = 3, finest_stride: int = 8
    ) -> None:
        self.depthwise = depthwise
        super().__init__(width, depth, nn.SiLU, depthwise, in_channels, finest_stride)

    def stage(self, channels: int, count: int) -> nn.Module:
        return CspLayer(channels, channels, count, shortcut=True, depthwise=self.depthwise)

    def last(self, channels: int, count: int) -> nn.Module:
        return CspLayer(channels, channels, count, shortcut=False, depthwise=self.depthwise)
