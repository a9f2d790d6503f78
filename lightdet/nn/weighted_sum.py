"""A sum of maps with learned weights."""

import torch
from torch import Tensor, nn

EPSILON = 1e-4


class FastNormalizedSum(nn.Module):
    """`count` maps (B, C, H, W) -> their weighted mean, same shape.

    Fast normalised fusion, Tan et al. 2020 (EfficientDet), arXiv 1911.09070, section 3.3: the share of a map is
    relu(w_i) / (epsilon + sum of relu(w_j)). All start equal.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(count))

    def shares(self) -> Tensor:
        """(count,), not negative; their sum falls short of 1 by what epsilon takes."""
        positive = self.weights.relu()
        return positive / (EPSILON + positive.sum())

    def forward(self, *maps: Tensor) -> Tensor:
        first, *others = [share * one for share, one in zip(self.shares().to(maps[0].dtype), maps, strict=True)]
        for one in others:
            first = first + one
        return first
