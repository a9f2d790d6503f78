"""Path aggregation neck of YOLOv5 with a place for shallow features before the two coarser grids.

    C5 --1x1--+------------------------------------------ cat - fuse(C5) - CSP2 -- P5
              up                                            ^
    C4 ----- cat - CSP2 -1x1--+-------- cat - fuse(C4) - CSP2 -- P4 -- s2
                              up         ^
    C3 --------------------- cat - CSP2 -- P3 -- s2

Sources: Liu et al. 2018, arXiv 1803.01534 (PAN); Huang 2024, section 2.3 (the branches before the 38 and 19 grids).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightdet.neck.bricks import adapters
from lightdet.nn.blocks import Activation, BottleneckCsp, ConvBnAct, conv_3x3, divisible, repeats
from lightdet.nn.contracts import Fusion, Neck


class Pan(Neck):
    """[C3, C4, C5] -> [P3, P4, P5], `.channels` = (256, 512, 1024) x width; C2 gives P2 (half of P3's).

    `fusion(channels)` builds a module (deep, shallow) -> fused, placed where the bottom-up path has just been
    concatenated: there its channels are those of the backbone map of the same stride, so no projection is needed.
    A backbone with other channels is brought to the neck's by a 1x1 convolution first.

    `block(in_channels, out_channels, count, shortcut=False)` builds the CSP2 blocks above; `depthwise` splits the 3x3
    convolutions of the bottom-up path.
    """

    def __init__(
        self,
        channels: Sequence[int],
        fusion: Callable[[int], Fusion],
        width: float,
        depth: float,
        block: Callable[..., nn.Module] = BottleneckCsp,
        activation: Activation = nn.Hardswish,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        count = repeats(3, depth)
        self.levels = range(6 - len(channels), 6)  # names of the maps: 3, 4, 5
        wide = dict(zip(self.levels, _channels(width, len(channels)), strict=True))
        self.channels = tuple(wide.values())
        self.enter = adapters(channels, self.channels, activation)
        parts: dict[str, nn.Module] = {}
        for level in reversed(self.levels[1:]):
            parts[f"reduce{level}"] = ConvBnAct(wide[level], wide[level - 1], activation=activation)
            parts[f"top_down{level - 1}"] = block(2 * wide[level - 1], wide[level - 1], count, shortcut=False)
        for level in self.levels[1:]:
            finer = wide[level - 1]
            parts[f"down{level - 1}"] = conv_3x3(finer, finer, 2, activation, depthwise)
            parts[f"fuse{level}"] = fusion(wide[level])
            parts[f"bottom_up{level}"] = block(wide[level], wide[level], count, shortcut=False)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        entered = [enter(feature) for enter, feature in zip(self.enter, features, strict=True)]
        maps = dict(zip(self.levels, entered, strict=True))
        laterals: dict[int, Tensor] = {}
        deep = maps[self.levels[-1]]
        for level in reversed(self.levels[1:]):
            laterals[level] = self._part("reduce", level)(deep)
            finer = maps[level - 1]
            up = F.interpolate(laterals[level], size=finer.shape[-2:])
            deep = self._part("top_down", level - 1)(torch.cat((up, finer), dim=1))
        outputs = [deep]
        for level in self.levels[1:]:
            down = torch.cat((self._part("down", level - 1)(outputs[-1]), laterals[level]), dim=1)
            outputs.append(self._part("bottom_up", level)(self._part("fuse", level)(down, maps[level])))
        return outputs

    def _part(self, name: str, level: int) -> nn.Module:
        return self.get_submodule(f"{name}{level}")


def _channels(width: float, levels: int) -> list[int]:
    """Channels of the maps, finest first: the coarsest has 4 times those of stride 8, and C2 half of them."""
    c3 = divisible(256 * width)
    return [c3 // 2, c3, 2 * c3, 4 * c3][-levels:]
