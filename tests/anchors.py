"""Three grids of a 64 px image with two anchors each, for tests of what uses anchors."""

import torch

STRIDES = (8, 16, 32)
GRIDS = (8, 4, 2)  # cells along a side at 64 px
SHAPES = [(size, size) for size in GRIDS]
ANCHORS = torch.tensor([[[8.0, 8], [12, 12]], [[16, 16], [32, 8]], [[40, 40], [60, 60]]])


def places(found: list) -> list[tuple[int, int, int, int]]:
    """(grid, anchor, column, row) of all positives."""
    return [
        (grid, int(a), int(c), int(r))
        for grid, one in enumerate(found)
        for a, c, r in zip(one.anchor, one.column, one.row, strict=True)
    ]
