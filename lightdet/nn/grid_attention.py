"""One attention on each of some grids' maps."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lightdet.ops.grid import STRIDES, grid_names, parse_head


class GridAttention(nn.ModuleDict):
    """Maps, finest grid first -> the same maps, those of the grids in `head` through an `attention(channels)` each.

    The keys are the names of the grids, which follow from the strides (px). None for `attention` leaves it out. Raises
    LightdetError for a `head` that is none of these grids.
    """

    def __init__(
        self,
        attention: Callable[[int], nn.Module] | None,
        channels: Sequence[int],
        head: str | int = "all",
        strides: Sequence[int] = STRIDES,
    ) -> None:
        grids = grid_names(strides)
        chosen = parse_head(head, strides) if attention else ()
        super().__init__(
            {grid: attention(c) for grid, c in zip(grids, channels, strict=True) if grid in chosen} if attention else {}
        )
        self.grids = grids

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [self.at(number, one) for number, one in enumerate(maps)]

    def at(self, number: int, one: Tensor) -> Tensor:
        """The map with that number, through its attention where it has one."""
        grid = self.grids[number]
        return self[grid](one) if grid in self else one

    def placement(self, where: str) -> list[str]:
        """Its attentions in words: ["Cbam before grid 76", ...] for where = "before"."""
        return [f"{type(module).__name__} {where} grid {grid}" for grid, module in self.items()]
