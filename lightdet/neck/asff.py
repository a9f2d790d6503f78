"""Adaptively spatial feature fusion, Liu et al. 2019, arXiv 1911.09516, on the outputs of any neck.

    [P3, P4, P5] -- resized to P3 -- sum_i w_i P_i -- 3x3 -- P3'     w = softmax over the three levels i,
    [P3, P4, P5] -- resized to P4 -- sum_i w_i P_i -- 3x3 -- P4'     its own at every place of every output
    [P3, P4, P5] -- resized to P5 -- sum_i w_i P_i -- 3x3 -- P5'

Differs: SiLU where the published code has LeakyReLU, unless `activation` is given; a coarser map passes a 1x1
convolution also where it has the channels already, as at the finest level; the epsilon of the normalisation is 1e-3,
not 1e-5.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lightdet.nn.blocks import Activation, ConvBnAct
from lightdet.nn.contracts import Fusion, Neck


class Asff(Neck):
    """[C3, C4, C5] -> [P3, P4, P5] of the `inner` neck, each replaced by its own blend of all; `.channels` the same.

    `inner(channels, fusion=)` builds the neck. A coarser map comes by a 1x1 convolution and nearest neighbours; a finer
    one by a 3x3 convolution of stride 2 that, where it comes from two grids away, follows a max-pool of stride 2.
    `compress` is the number of channels from which each map's weight is computed.
    """

    def __init__(
        self,
        channels: Sequence[int],
        fusion: Callable[[int], Fusion],
        inner: Callable[..., Neck],
        compress: int = 16,
        activation: Activation = nn.SiLU,
    ) -> None:
        super().__init__()
        self.inner = inner(channels, fusion=fusion)
        self.channels = self.inner.channels
        self.blends = nn.ModuleList(
            Blend(self.channels, level, compress, activation) for level in range(len(self.channels))
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        maps = self.inner(features)
        return [blend(maps) for blend in self.blends]


class Blend(nn.Module):
    """Maps of all levels, finest first, each half the size of the one before -> one map, like that of `level`."""

    def __init__(self, channels: Sequence[int], level: int, compress: int, activation: Activation) -> None:
        super().__init__()
        own = channels[level]
        self.resizes = nn.ModuleList(_resize(c, own, level - source, activation) for source, c in enumerate(channels))
        self.tells = nn.ModuleList(ConvBnAct(own, compress, activation=activation) for _ in channels)
        self.weigh = nn.Conv2d(compress * len(channels), len(channels), 1)
        self.expand = ConvBnAct(own, own, 3, activation=activation)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        resized = [resize(one) for resize, one in zip(self.resizes, maps, strict=True)]
        compressed = torch.cat([compress(one) for compress, one in zip(self.tells, resized, strict=True)], dim=1)
        weights = self.weigh(compressed).softmax(dim=1).split(1, dim=1)  # one (B, 1, H, W) per source
        return self.expand(torch.stack([w * one for w, one in zip(weights, resized, strict=True)]).sum(dim=0))


def _resize(in_channels: int, out_channels: int, halvings: int, activation: Activation) -> nn.Module:
    """What brings a map to the wanted channels and `halvings` times to half its size; below 0, to double its size."""
    if halvings == 0:
        return nn.Identity()
    if halvings < 0:
        enlarge = nn.Upsample(scale_factor=2**-halvings)
        return nn.Sequential(ConvBnAct(in_channels, out_channels, activation=activation), enlarge)
    pools = (nn.MaxPool2d(3, 2, 1) for _ in range(halvings - 1))
    return nn.Sequential(*pools, ConvBnAct(in_channels, out_channels, 3, 2, activation=activation))
