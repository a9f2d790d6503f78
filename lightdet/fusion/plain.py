"""No branch: the neck's feature is unchanged."""

from torch import Tensor

from lightdet.nn.contracts import Fusion


class Plain(Fusion):
    """(deep, shallow), both (B, C, H, W) -> deep."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        return deep
