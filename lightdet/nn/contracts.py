"""What the rooms of a detector promise each other.

Shapes are (B, C, H, W); H and W of images are multiples of the coarsest stride.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """images (B, 3, H, W) -> [C3, C4, C5], one map per stride."""

    channels: tuple[int, ...]
    strides: tuple[int, ...] = (8, 16, 32)  # px

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]: ...

    def placement(self) -> list[str]:
        """Attentions inside it that the configuration placed, in words."""
        return []


class Neck(nn.Module, ABC):
    """[C3, C4, C5] -> [P3, P4, P5] at the same strides."""

    channels: tuple[int, ...]

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> list[Tensor]: ...


class Fusion(nn.Module, ABC):
    """(deep, shallow), both (B, C, H, W) -> fused, same shape."""

    @abstractmethod
    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor: ...


class Predictor(nn.Module, ABC):
    """[P3, P4, P5] -> raw maps, one per stride; and raw maps -> scored boxes."""

    strides: tuple[int, ...]  # px
    num_classes: int

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> list[Tensor]: ...

    @abstractmethod
    def decode(self, raw_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw maps -> boxes_xyxy (B, N, 4) in input px, scores (B, N, num_classes) in 0..1."""
