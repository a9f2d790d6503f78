"""Squeeze and excitation, Hu et al. 2018, arXiv 1709.01507."""

import torch
from torch import Tensor, nn

from lightdet.nn.blocks import narrowed
from lightdet.nn.contracts import GatingAttention


class Se(GatingAttention):
    """Channel gate from a two-layer MLP over the averaged channels: (B, C, H, W) -> same shape."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = narrowed("attention", channels, reduction, 4)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def gate(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.mlp(x.mean(dim=(2, 3))))[:, :, None, None]
