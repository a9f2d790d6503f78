"""The contracts between the components of a network.

Shapes are (B, C, H, W); H and W of images are multiples of the coarsest stride. C3 is the map at stride 8, C4 at 16, C5
at 32; a network may have C2 at stride 4 as well, or lack the finest of the three: `.strides` lists what it has.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lightdet.ops.grid import STRIDES


class Backbone(nn.Module, ABC):
    """images (B, in_channels, H, W) -> [C3, C4, C5], one map per stride, finest first."""

    channels: tuple[int, ...]
    strides: tuple[int, ...] = STRIDES  # px
    in_channels: int = 3  # of the images

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]: ...

    def attended(self, images: Tensor, attend: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        """images -> the same maps, each through `attend`(its number, map). A backbone whose stages follow one another
        may compute the next map from the attended one."""
        return [attend(number, one) for number, one in enumerate(self(images))]

    def placement(self) -> list[str]:
        """The attentions inside it that the configuration placed, as text."""
        return []


class Neck(nn.Module, ABC):
    """[C3, C4, C5] -> [P3, P4, P5] at the same strides: as many maps as it is built for."""

    channels: tuple[int, ...]

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> list[Tensor]: ...


class Fusion(nn.Module, ABC):
    """(deep, shallow), both (B, C, H, W) -> fused, same shape."""

    @abstractmethod
    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor: ...


class GatingAttention(nn.Module, ABC):
    """An attention that multiplies each value of its map by a factor, which explanations show: (B, C, H, W) -> same.

    An attention of another kind is any module of that shape.
    """

    @abstractmethod
    def gate(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the factors, 0..1, in a shape that can be multiplied with it: (B, C, 1, 1), (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class Predictor(nn.Module, ABC):
    """[P3, P4, P5] -> raw maps, one per stride; and raw maps -> scored boxes."""

    strides: tuple[int, ...]  # px
    num_classes: int

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> list[Tensor]: ...

    @abstractmethod
    def decode(self, raw_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw maps -> boxes_xyxy (B, N, 4) in input px, scores (B, N, num_classes) in 0..1."""
