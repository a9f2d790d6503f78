"""The cells of a prediction grid as coordinates."""

import torch
from torch import Tensor


def cell_indices(height: int, width: int, device: torch.device) -> Tensor:
    """(height, width, 2): column and row index of each cell, float32."""
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack((columns, rows), dim=-1)
