"""Coordinate attention, Hou et al. 2021, arXiv 2103.02907.

Differs: the channels are narrowed by 16, where the published code narrows by 32; the epsilon of the normalisation is
1e-3, not 1e-5.
"""

import torch
from torch import Tensor, nn

from lightdet.nn.blocks import ConvBnAct, narrowed
from lightdet.nn.contracts import GatingAttention


class Coord(GatingAttention):
    """A gate along the rows times a gate along the columns: (B, C, H, W) -> same shape."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = narrowed("attention", channels, reduction, 8)
        self.squeeze = ConvBnAct(channels, hidden)
        self.rows = nn.Conv2d(hidden, channels, 1)
        self.columns = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self._gates(x)
        return x * rows * columns

    def gate(self, x: Tensor) -> Tensor:
        rows, columns = self._gates(x)
        return rows * columns

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, 1) and (B, C, 1, W)."""
        height, width = x.shape[-2:]
        by_row = x.mean(dim=3, keepdim=True)  # (B, C, H, 1)
        by_column = x.mean(dim=2, keepdim=True).transpose(2, 3)  # (B, C, W, 1)
        squeezed = self.squeeze(torch.cat((by_row, by_column), dim=2))
        rows, columns = squeezed.split((height, width), dim=2)
        return torch.sigmoid(self.rows(rows)), torch.sigmoid(self.columns(columns.transpose(2, 3)))
