"""Fast normalised fusion of the neck's and the backbone's feature, Tan et al. 2020 (EfficientDet), arXiv 1911.09070."""

from torch import Tensor

from lightdet.nn.contracts import Fusion
from lightdet.nn.weighted_sum import FastNormalizedSum


class FastNormalized(Fusion):
    """(deep, shallow), both (B, C, H, W) -> their weighted mean, same shape; it starts at equal shares."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sum = FastNormalizedSum(2)

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        fused: Tensor = self.sum(deep, shallow)
        return fused
