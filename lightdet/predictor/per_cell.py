"""The base of predictors with one prediction per cell: the cells of all grids as one list."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightdet.nn.contracts import Predictor
from lightdet.ops.cells import cell_indices


class PerCell(Predictor):
    """Raw maps [(B, C, H_i, W_i)], one per stride; N cells in all."""

    def flatten(self, raw_maps: Sequence[Tensor]) -> Tensor:
        """Raw maps -> (B, N, C) float32: all cells of all grids, row by row, finest grid first."""
        return torch.cat([raw.permute(0, 2, 3, 1).flatten(1, 2) for raw in raw_maps], dim=1).float()

    def cells(self, raw_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Column and row of each of the N cells (N, 2), and its stride (N, 1) px, in the order of `flatten`."""
        cells = [cell_indices(raw.shape[-2], raw.shape[-1], raw.device).flatten(0, 1) for raw in raw_maps]
        strides = [torch.full_like(one[:, :1], stride) for one, stride in zip(cells, self.strides, strict=True)]
        return torch.cat(cells), torch.cat(strides)
