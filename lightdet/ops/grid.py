"""Prediction grids, named by their size at 608 px: 76 = stride 8, 38 = stride 16, 19 = stride 32."""

import torch
from torch import Tensor

from lightdet.core.errors import LightdetError, demand_whole

REFERENCE_SIZE = 608  # px; the input at which a grid's name is its size
STRIDES = (8, 16, 32)  # px
GRIDS = tuple(str(REFERENCE_SIZE // stride) for stride in STRIDES)


def parse_head(head: str | int) -> tuple[str, ...]:
    """Names of grids, finest first: 76 -> ("76",), "76-38" -> ("76", "38"), "all", "none".

    Raises LightdetError for a grid that does not exist.
    """
    text = str(head)
    if text == "none":
        return ()
    names = GRIDS if text == "all" else tuple(text.split("-"))
    unknown = [name for name in names if name not in GRIDS]
    if unknown or len(set(names)) != len(names):
        raise LightdetError(
            f"head={text}: a grid is one of {', '.join(GRIDS)}; join several with '-' (head=76-38), or say all or none"
        )
    return tuple(grid for grid in GRIDS if grid in names)


def check_image_size(image_size: int) -> None:
    """Raises LightdetError for an input, px, that the coarsest grid does not divide, and for what is no number."""
    coarsest = STRIDES[-1]
    demand_whole("image_size", image_size, 1)
    if image_size < coarsest or image_size % coarsest:
        near = max(coarsest, round(float(image_size) / coarsest) * coarsest)
        raise LightdetError(f"image_size={image_size}: must be a multiple of {coarsest}; the nearest is {near}")


def cell_indices(height: int, width: int, device: torch.device) -> Tensor:
    """(height, width, 2): column and row index of each cell, float32."""
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack((columns, rows), dim=-1)
