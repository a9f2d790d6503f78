"""Cutting an image that is larger than the training scale into overlapping tiles. No torch here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Tile(NamedTuple):
    """Where a tile lies in its image, original px: a box of whole pixels."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class Tiles:
    """Sides of a tile and the least overlap of two neighbours, original px; the overlap is less than the side.

    A box that is no larger than the overlap lies wholly in at least one tile.
    """

    height: int
    width: int
    overlap_y: int
    overlap_x: int

    def is_one(self, height: int, width: int) -> bool:
        """Whether an image of that size is no larger than a tile."""
        return height <= self.height and width <= self.width

    def over(self, height: int, width: int) -> Iterator[Tile]:
        """The tiles of an image of that size, row by row; together they cover it. A tile is cut to a side of the image
        that is shorter than its own."""
        for top in starts(height, self.height, self.overlap_y):
            for left in starts(width, self.width, self.overlap_x):
                yield Tile(left, top, min(left + self.width, width), min(top + self.height, height))

    def __str__(self) -> str:
        return f"tiles of {self.width} x {self.height} px that overlap by {self.overlap_x} x {self.overlap_y} px"


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side of `length` px: as few as overlap by at least `overlap`, evenly spread."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    places: list[int] = np.linspace(0, length - tile, count).round().astype(int).tolist()
    return places
