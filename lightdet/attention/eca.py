"""Efficient channel attention, Wang et al. 2020, arXiv 1910.03151.

Differs: the kernel is a setting, 3 unless given; the published rule derives it from the channels and gives 5 from 128
channels on.
"""

import torch
from torch import Tensor, nn

from lightdet.nn.blocks import padding
from lightdet.nn.contracts import GatingAttention


class Eca(GatingAttention):
    """Channel gate from a 1-D convolution over the averaged channels: (B, C, H, W) -> same shape."""

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel, padding=padding("attention", kernel), bias=False)

    def gate(self, x: Tensor) -> Tensor:
        gate = self.conv(x.mean(dim=(2, 3))[:, None])  # (B, 1, C)
        return torch.sigmoid(gate.transpose(1, 2))[..., None]
