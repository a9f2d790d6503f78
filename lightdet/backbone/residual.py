"""A small residual network: a stem of stride 2 and three residual blocks that halve the map.

Basic blocks of He et al. 2015, arXiv 1512.03385. For classifiers, which use its last map, at stride 16.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lightdet.nn.blocks import Activation, ConvBnAct, activation_named, batch_norm
from lightdet.nn.contracts import Backbone

MOMENTUM = 0.1  # of BatchNorm's statistics: at the detectors' 0.03 they lag behind a training of few hundred steps


class Residual(Backbone):
    """(B, in_channels, H, W) -> maps at strides 4, 8 and 16, with `channels` each."""

    strides = (4, 8, 16)

    def __init__(self, channels: Sequence[int] = (32, 64, 128), activation: str = "relu", in_channels: int = 3) -> None:
        super().__init__()
        act = activation_named(activation)
        self.channels = tuple(channels)
        self.in_channels = in_channels
        self.stem = ConvBnAct(in_channels, channels[0], 3, 2, activation=act)
        before = (channels[0], *channels[:-1])
        self.blocks = nn.ModuleList(_Block(c, wide, act) for c, wide in zip(before, channels, strict=True))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = MOMENTUM

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.attended(images, lambda _, x: x)

    def attended(self, images: Tensor, attend: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        """The maps as each stage's attention leaves them for the next stage."""
        maps, x = [], self.stem(images)
        for number, block in enumerate(self.blocks):
            x = attend(number, block(x))
            maps.append(x)
        return maps


class _Block(nn.Module):
    """(B, in, H, W) -> (B, out, H / 2, W / 2): two 3x3 convolutions beside a 1x1 one."""

    def __init__(self, in_channels: int, out_channels: int, activation: Activation) -> None:
        super().__init__()
        self.reduce = ConvBnAct(in_channels, out_channels, 3, 2, activation=activation)
        self.expand = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), batch_norm(out_channels)
        )
        self.bypass = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, 2, bias=False), batch_norm(out_channels))
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.expand(self.reduce(x)) + self.bypass(x))
