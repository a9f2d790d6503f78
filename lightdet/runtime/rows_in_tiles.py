"""An exported detector on an image larger than its training scale. No torch here."""

from collections.abc import Callable, Sequence

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.ops.overlapping import best_of_overlapping
from lightdet.ops.seams import Pieces
from lightdet.ops.tiles import Tiles
from lightdet.runtime.tiled import find_in_tiles

Answer = Callable[[np.ndarray], np.ndarray]  # an image (H, W, 3) uint8 RGB -> its rows, as of the file's output


def rows_in_tiles(answer: Answer, pixels: np.ndarray, tiles: Tiles, overlap: float | None, name: str) -> np.ndarray:
    """What a file detects in the tiles of an image (H, W, 3) uint8 RGB: rows (N, 6) as its output has them, best first.

    What reaches the file's thresholds is joined, as it gives nothing else. overlap: IoU above which the lower scored of
    two boxes of any class is dropped, as the file does it; None: it does not. Raises LightdetError, which begins with
    the image's `name`, for a box or score that is not finite.
    """

    def detect(cut: Sequence[np.ndarray]) -> list[Pieces]:
        rows = [answer(np.ascontiguousarray(tile)) for tile in cut]
        if not all(np.isfinite(each).all() for each in rows):
            raise LightdetError(f"{name}: the detector gave a box or score that is NaN or infinite")
        used = [each[each[:, 5] >= 0] for each in rows]
        return [Pieces(each[:, :4], each[:, 4], each[:, 5].astype(np.int64)) for each in used]

    found = find_in_tiles(pixels, tiles, detect)
    if overlap is not None:
        kept = best_of_overlapping(found.boxes, found.scores, overlap)
        found = Pieces(*(column[kept] for column in found))
    return np.column_stack((found.boxes, found.scores, found.labels)).astype(np.float32)
