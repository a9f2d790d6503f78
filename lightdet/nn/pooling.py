"""Pooling: the map of a classifier's backbone becomes one vector."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


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
