"""What a reader hands over: labelled images on disk, in no dataset's own format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.data.image import BITS


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled image on disk."""

    image_id: str  # the path relative to the data root, with "/" between folders
    path: Path
    boxes_xyxy: np.ndarray  # (N, 4) float32, original px, continuous
    labels: np.ndarray  # (N,) int64, 0..C-1
    bits: int | None = None  # of the camera, for `read_image`; a setting of the whole dataset, not of its reader


class Reader(Protocol):
    """Turns a dataset on disk into records. Nothing is decoded: only labels and image headers are read."""

    classes: tuple[str, ...]  # known after construction

    def read(self) -> dict[str, list[Record]]:
        """Records under "train", "val" and, where there is one, "test".

        Raises LightdetError, one line naming the file, for anything that is missing, broken or contradictory.
        """
        ...


def doubts_of(reader: Reader) -> tuple[str, ...]:
    """What a reader saw in `read` that is no mistake and yet worth a look, a line each: its `doubts`, if it has any."""
    return tuple(getattr(reader, "doubts", ()))


def with_bits(splits: Mapping[str, Sequence[Record]], bits: int | None) -> dict[str, list[Record]]:
    """The same records, all images to be read with `bits`. Raises LightdetError for a depth that is none of BITS."""
    if bits is not None and (isinstance(bits, bool) or bits not in BITS):
        raise LightdetError(f"data.bits={bits}: one of null, {', '.join(map(str, BITS))}")
    return {name: [replace(record, bits=bits) for record in records] for name, records in splits.items()}
