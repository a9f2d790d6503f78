"""Huang 2024, section 3: the CSP1_X of the YOLOv5 backbone replaced by SPP.

The paper leaves open whether the CSP2_X behind the final SPP is replaced too. At width 0.25 the literal reading
(`replace_last=False`) has 1.68 M parameters in the whole detector, above the 1.56 M of the paper's Table 3; with the
last block replaced (the default) it has 1.53 M.
"""

from torch import nn

from lightdet.backbone.csp_darknet import CspDarknet
from lightdet.nn.blocks import Spp


class SppDarknet(CspDarknet):
    """(B, in_channels, H, W) -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each."""

    def __init__(
        self, width: float, depth: float, replace_last: bool = True, in_channels: int = 3, finest_stride: int = 8
    ) -> None:
        self.replace_last = replace_last
        super().__init__(width, depth, in_channels=in_channels, finest_stride=finest_stride)

    def stage(self, channels: int, count: int) -> nn.Module:
        return Spp(channels, channels)

    def last(self, channels: int, count: int) -> nn.Module:
        return Spp(channels, channels) if self.replace_last else super().last(channels, count)
