"""Pooling: the map of a classifier's backbone becomes one vector."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

SMALLEST = 1e-12  # a variance; the root of 0 has no gradient


class Pooling(nn.Module, ABC):
    """(B, C, H, W) -> (B, channels)."""

    channels: int  # of the vector

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor: ...


class MeanPooling(Pooling):
    """(B, channels, H, W) -> (B, channels): the mean over the places."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, features: Tensor) -> Tensor:
        return features.mean(dim=(2, 3))


class StatisticsPooling(Pooling):
    """(B, C, H, W) -> (B, 2 C): the means over the places, then the standard deviations."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = 2 * channels

    def forward(self, features: Tensor) -> Tensor:
        mean = features.mean(dim=(2, 3))
        variance = (features - mean[:, :, None, None]).square().mean(dim=(2, 3))
        return torch.cat((mean, (variance + SMALLEST).sqrt()), dim=1)
