"""Convolutional block attention, Woo et al. 2018, arXiv 1807.06521; Huang 2024 eq. 2 and 3.

Differs: the hidden width is at least 4; the epsilon of the normalisation is 1e-3, as everywhere in the YOLOs here, not
1e-5. Huang's text speaks of mean and standard deviation before the MLP, its
formula of average and maximum: the formula is what is built.
"""

import torch
from torch import Tensor, nn

from lightdet.nn.blocks import batch_norm, narrowed, padding
from lightdet.nn.gates import ChannelsThenPlaces


class Cbam(ChannelsThenPlaces):
    """Channel gate, then spatial gate: (B, C, H, W) -> same shape. `reduction` narrows the shared MLP."""

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        hidden = narrowed("attention", channels, reduction, 4)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.spatial = nn.Sequential(
            nn.Conv2d(2, 1, kernel, padding=padding("attention", kernel), bias=False), batch_norm(1)
        )

    def _channels(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1)."""
        channel = self.mlp(x.mean(dim=(2, 3))) + self.mlp(x.amax(dim=(2, 3)))
        return torch.sigmoid(channel)[:, :, None, None]
