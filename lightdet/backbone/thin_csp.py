"""A backbone of CspLayers with explicit channels, for light detectors on a CPU.

Kernels for convolutions work on 8 or 16 channels at a time: 28 channels take as long as 32. Counts that fill them, and
a 3x3 stem in place of the 6x6 one of `CspDarknet` (a quarter of its operations, on the largest map), make more of the
same time. CspLayer: Ge et al. 2021, arXiv 2107.08430; the order of stages is that of `CspDarknet`.
"""

from collections.abc import Sequence

from torch import nn

from lightdet.backbone.staged import Staged
from lightdet.core.errors import LightdetError
from lightdet.nn.blocks import ConvBnAct, CspLayer, Spp, activation_named


class ThinCsp(Staged):
    """(B, in_channels, H, W) -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each.

    `channels`: of the maps at strides 2, 4, 8, 16 and 32. `counts`: bottlenecks at strides 4, 8, 16 and 32.
    `activation`: silu, hardswish, relu or relu6. Raises LightdetError for another one, and for another number of the
    others.
    """

    def __init__(
        self,
        channels: Sequence[int],
        counts: Sequence[int],
        activation: str = "silu",
        in_channels: int = 3,
        finest_stride: int = 8,
    ) -> None:
        if (len(channels), len(counts)) != (5, 4):
            raise LightdetError(f"channels={list(channels)} counts={list(counts)}: five channels and four counts")
        c1, c2, c3, c4, c5 = channels
        super().__init__((c2, c3, c4, c5), finest_stride, in_channels)
        act = activation_named(activation)

        def down(before: int, after: int) -> nn.Module:
            return ConvBnAct(before, after, 3, 2, activation=act)

        self.stem = nn.Sequential(down(in_channels, c1), down(c1, c2), CspLayer(c2, c2, counts[0], activation=act))
        self.stage3 = nn.Sequential(down(c2, c3), CspLayer(c3, c3, counts[1], activation=act))
        self.stage4 = nn.Sequential(down(c3, c4), CspLayer(c4, c4, counts[2], activation=act))
        pool = Spp(c5, c5, act)
        self.stage5 = nn.Sequential(down(c4, c5), pool, CspLayer(c5, c5, counts[3], shortcut=False, activation=act))
