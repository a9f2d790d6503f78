"""Any backbone with an attention on its maps, in front of the neck."""

from collections.abc import Callable

from torch import Tensor, nn

from lightdet.nn.contracts import Backbone
from lightdet.nn.grid_attention import GridAttention


class Attended(Backbone):
    """Images -> the maps of `inner`, those of the grids in `head` through an `attention(channels)` each.

    A fusion in the neck that takes the backbone's maps takes them attended, too; and so do the further stages of a
    backbone that says so (`Backbone.attended`).
    """

    def __init__(self, inner: Backbone, attention: Callable[[int], nn.Module] | None, head: str | int = "all") -> None:
        super().__init__()
        self.inner = inner
        self.channels, self.strides, self.in_channels = inner.channels, inner.strides, inner.in_channels
        self.attention = GridAttention(attention, inner.channels, head, inner.strides)

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.inner.attended(images, self.attention.at)

    def placement(self) -> list[str]:
        return [*self.inner.placement(), *self.attention.placement("behind the backbone on")]
