"""A gate of channels, then a gate of places: what attentions in this order share."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from lightdet.nn.contracts import GatingAttention


class ChannelsThenPlaces(GatingAttention):
    """(B, C, H, W) -> same shape. `spatial`: mean and maximum over the channels (B, 2, H, W) -> (B, 1, H, W)."""

    spatial: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        x = x * self._channels(x)
        return x * self._places(x)

    def gate(self, x: Tensor) -> Tensor:
        channels = self._channels(x)
        return channels * self._places(x * channels)

    @abstractmethod
    def _channels(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1)."""

    def _places(self, x: Tensor) -> Tensor:
        """(B, 1, H, W), of the map behind the channel gate."""
        pooled = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        return torch.sigmoid(self.spatial(pooled))
