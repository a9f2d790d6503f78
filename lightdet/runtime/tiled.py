"""Predictions of an image tile by tile, by whatever detects in a small image. No torch here."""

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np

from lightdet.ops.seams import Pieces, joined
from lightdet.ops.tiles import Tiles

AT_ONCE = 8  # tiles that are cut and detected in together: what is in memory besides the image

Detect = Callable[[Sequence[np.ndarray]], Sequence[Pieces]]


def find_in_tiles(pixels: np.ndarray, tiles: Tiles, detect: Detect) -> Pieces:
    """What `detect` finds in the tiles of an image (H, W, C), each object once, in px of the image, best first.

    `detect` takes up to `AT_ONCE` tiles (h, w, C), which are views of the image, and gives the boxes of each in the px
    of the tile.
    """
    height, width = pixels.shape[:2]
    places = list(tiles.over(height, width))
    found: list[Pieces] = []
    waiting = iter(places)
    while batch := list(islice(waiting, AT_ONCE)):
        cut = [pixels[tile.top : tile.bottom, tile.left : tile.right] for tile in batch]
        for tile, pieces in zip(batch, detect(cut), strict=True):
            shift = np.array([tile.left, tile.top] * 2, np.float32)
            found.append(pieces._replace(boxes=pieces.boxes + shift))
    return joined(found, places, height, width)
