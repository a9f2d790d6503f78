"""The chain that most backbones are: a stem to stride 4, then three stages that halve the map."""

from collections.abc import Sequence

from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.nn.contracts import Backbone
from lightdet.ops.grid import ALL_STRIDES


class Staged(Backbone):
    """(B, in_channels, H, W) -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each.

    `stem` leads to stride 4, and `stage3`, `stage4` and `stage5` halve the map, one after another. `finest_stride`: of
    the first map that is given; 4 adds C2, the output of the stem, and 16 leaves out C3. Raises LightdetError for
    another one.
    """

    stem: nn.Module
    stage3: nn.Module
    stage4: nn.Module
    stage5: nn.Module

    def __init__(self, channels: Sequence[int], finest_stride: int, in_channels: int) -> None:
        """`channels`: of the maps at strides 4, 8, 16 and 32."""
        super().__init__()
        self.strides = strides_from(finest_stride)
        self.channels = tuple(channels[-len(self.strides) :])
        self.in_channels = in_channels

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = [self.stem(images)]
        for stage in (self.stage3, self.stage4, self.stage5):
            maps.append(stage(maps[-1]))
        return maps[-len(self.strides) :]


def strides_from(finest_stride: int) -> tuple[int, ...]:
    """8 -> (8, 16, 32). Raises LightdetError for a stride that leaves fewer than two maps, or that no map has."""
    if finest_stride not in ALL_STRIDES[:-1]:
        raise LightdetError(f"model.network.backbone.finest_stride={finest_stride}: one of 4, 8, 16")
    return ALL_STRIDES[ALL_STRIDES.index(finest_stride) :]
