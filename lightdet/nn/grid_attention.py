"""One attention on each of some grids' maps."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lightdet.ops.grid import GRIDS, parse_head


class GridAttention(nn.ModuleDict):
    """Maps, finest grid first -> the same maps, those of the grids in `head` through an `attention(channels)` each.

    The keys are the names of the grids. None for `attention` leaves it out. Raises LightdetError for a `head` that is
    no grid.
    """

    def __init__(
        self, attention: Callable[[int], nn.Module] | None, channels: Sequence[int], head: str | int = "all"
    ) -> None:
        grids = parse_head(head) if attention else ()
        super().__init__(
            {grid: attention(c) for grid, c in zip(GRIDS, channels, strict=True) if grid in grids} if attention else {}
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [self[grid](one) if grid in self else one for grid, one in zip(GRIDS, maps, strict=True)]

    def placement(self, where: str) -> list[str]:
        """Its attentions in words: ["Cbam before grid 76", ...] for where = "before"."""
        return [f"{type(module).__name__} {where} grid {grid}" for grid, module in self.items()]
