"""What a reader hands over: labelled photos on disk, in no dataset's own format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled photo on disk."""

    image_id: str  # the path relative to the data root, with "/" between folders
    path: Path
    boxes_xyxy: np.ndarray  # (N, 4) float32, px, photo frame, continuous
    labels: np.ndarray  # (N,) int64, 0..C-1


class Reader(Protocol):
    """Turns a dataset on disk into records. Nothing is decoded: only labels and image headers are read."""

    classes: tuple[str, ...]  # known after construction

    def read(self) -> dict[str, list[Record]]:
        """Records under "train", "val" and, where there is one, "test".

        Raises LightdetError, one line naming the file, for anything that is missing, broken or contradictory.
        """
        ...
