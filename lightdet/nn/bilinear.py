"""Bilinear pooling: which channels of a map respond together, and where.

Lin et al. 2015, arXiv 1504.07889, with one map as both of its streams.
"""

import torch
from torch import Tensor, nn

from lightdet.core.errors import demand_whole
from lightdet.nn.pooling import Pooling

EPSILON = 1e-5  # below the root: keeps its slope finite at 0
LEAST_LENGTH = 1e-12


class BilinearPooling(Pooling):
    """(B, channels, H, W) -> (B, width^2): the mean over the places p of f(p) f(p)^T, f the map reduced to `width`.

    `normalised`: each value is divided by the root of its size, then the vector by its length. Differs: the root is
    sqrt(|z| + 1e-5), which has a slope at 0. Computes in float32 at least. Raises LightdetError for a `width` below 1.
    """

    def __init__(self, channels: int, width: int = 64, normalised: bool = True) -> None:
        super().__init__()
        demand_whole("model.network.pooling: width", width, 1)
        self.channels = width * width
        self.normalised = normalised
        self.reduce = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, features: Tensor, weights: Tensor | None = None) -> Tensor:
        return self.pool(self.reduce(features), weights)

    def pool(self, reduced: Tensor, weights: Tensor | None = None) -> Tensor:
        """(B, width, H, W) -> (B, width^2). `weights` (B, H, W) from 0: how much each place counts in the mean; where
        all are 0, every place counts alike."""
        with torch.autocast(reduced.device.type, enabled=False):
            moments = self._moments(reduced, weights)
            return moments * self._scale(moments)

    def places(self, reduced: Tensor, weights: Tensor) -> Tensor:
        """(B, width, H, W), (B, width^2) -> (B, H, W): what each place adds to the product of `pool` and `weights`.

        The sum over the places is that product, exactly: the scale of the normalisation belongs to the weights.
        """
        with torch.autocast(reduced.device.type, enabled=False):
            moments = self._moments(reduced)
            features = _at_least_float32(reduced).flatten(2)
            matrices = (weights * self._scale(moments)).unflatten(1, (features.shape[1], features.shape[1]))
            shares = (features * (matrices @ features)).sum(dim=1) / features.shape[2]
        return shares.unflatten(1, reduced.shape[2:])

    def _moments(self, reduced: Tensor, weights: Tensor | None = None) -> Tensor:
        """(B, width^2): z, the weighted mean of f f^T."""
        features = _at_least_float32(reduced).flatten(2)
        if weights is None:
            return (features @ features.transpose(1, 2) / features.shape[2]).flatten(1)
        counts = weights.flatten(1).to(features.dtype)
        counts = torch.where(counts.sum(dim=1, keepdim=True) > 0, counts, torch.ones_like(counts))
        shares = (counts / counts.sum(dim=1, keepdim=True)).unsqueeze(1)
        return ((features * shares) @ features.transpose(1, 2)).flatten(1)

    def _scale(self, moments: Tensor) -> Tensor:
        """(B, width^2): by what each value of z is multiplied, 1 / (|v| sqrt|z|) for v the vector of signed roots."""
        if not self.normalised:
            return torch.ones_like(moments)
        rooted = torch.rsqrt(moments.abs() + EPSILON)
        length = torch.linalg.vector_norm(moments * rooted, dim=1, keepdim=True).clamp(min=LEAST_LENGTH)
        return rooted / length


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
