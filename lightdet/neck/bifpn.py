"""Bidirectional feature pyramid of EfficientDet, on the three grids of this framework.

    C5 ----+---------------------- P5      every node: fast normalised sum,
           v                       ^       then a depthwise separable convolution
    C4 --- o ---------------- o -- P4      (the middle row's last node takes C4, too)
           v                  ^
    C3 --- o ---- P3 ---------+

Tan et al. 2020, arXiv 1911.09070, section 3. Differs: three levels instead of five; all channels grow with `width`;
a node's activation follows its convolution and normalisation, where the published code has it in front of them.
"""

from collections.abc import Callable, Sequence

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightdet.neck.bricks import require_three
from lightdet.nn.blocks import batch_norm, divisible
from lightdet.nn.contracts import Fusion, Neck
from lightdet.nn.weighted_sum import FastNormalizedSum


class BiFpn(Neck):
    """[C3, C4, C5] -> [P3, P4, P5], `.channels` = 256 x width on each: 64 at width 0.25, as in EfficientDet-D0.

    `repeats` layers follow each other. `fusion(channels)` builds a module (deep, shallow) -> fused, placed behind the
    last layer on the two coarser grids; the shallow feature is the backbone's at the neck's channels.
    """

    def __init__(
        self, channels: Sequence[int], fusion: Callable[[int], Fusion], width: float, repeats: int = 3
    ) -> None:
        super().__init__()
        require_three(channels, "bifpn")
        wide = divisible(256 * width)
        self.channels = (wide,) * 3
        self.enter = nn.ModuleList(
            nn.Sequential(nn.Conv2d(have, wide, 1, bias=False), batch_norm(wide)) for have in channels
        )
        self.layers = nn.Sequential(*(_Layer(wide) for _ in range(repeats)))
        self.fuse4 = fusion(wide)
        self.fuse5 = fusion(wide)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        entered = [enter(feature) for enter, feature in zip(self.enter, features, strict=True)]
        p3, p4, p5 = self.layers(entered)
        return [p3, self.fuse4(p4, entered[1]), self.fuse5(p5, entered[2])]


class _Layer(nn.Module):
    """[P3, P4, P5] -> the same shapes, once down and once up the pyramid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.top_down4 = _Node(2, channels)
        self.out3 = _Node(2, channels)
        self.out4 = _Node(3, channels)
        self.out5 = _Node(2, channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        c3, c4, c5 = features
        middle = self.top_down4(c4, F.interpolate(c5, size=c4.shape[-2:]))
        p3 = self.out3(c3, F.interpolate(middle, size=c3.shape[-2:]))
        p4 = self.out4(c4, middle, F.max_pool2d(p3, 3, 2, 1))
        p5 = self.out5(c5, F.max_pool2d(p4, 3, 2, 1))
        return [p3, p4, p5]


class _Node(nn.Module):
    """`count` maps (B, C, H, W) -> one of the same shape."""

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.sum = FastNormalizedSum(count)
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            batch_norm(channels),
            nn.SiLU(),
        )

    def forward(self, *maps: Tensor) -> Tensor:
        node: Tensor = self.conv(self.sum(*maps))
        return node
