"""Complementary attention, Su et al. 2021 (IEEE TII 17(6), 4084): the averaged and the largest value of every channel
decide on it together.

The published code passes the channel gate through one sigmoid more, which confines it to 0.5 .. 0.73, so that no
channel can be switched off; `faithful` does the same. Differs: the paper puts the block into a region proposal network.
"""

import torch
from torch import Tensor, nn

from lightdet.nn.blocks import padding
from lightdet.nn.gates import ChannelsThenPlaces


class Can(ChannelsThenPlaces):
    """Channel gate, then spatial gate: (B, C, H, W) -> same shape."""

    def __init__(self, channels: int, kernel: int = 7, faithful: bool = False) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * channels, channels), nn.Sigmoid(), nn.Linear(channels, channels))
        self.spatial = nn.Conv2d(2, 1, kernel, padding=padding("attention", kernel))
        self.faithful = faithful

    def _channels(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1)."""
        gate = torch.sigmoid(self.mlp(torch.cat((x.mean(dim=(2, 3)), x.amax(dim=(2, 3))), dim=1)))
        if self.faithful:
            gate = torch.sigmoid(gate)
        return gate[:, :, None, None]
