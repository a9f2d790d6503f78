"""The scale at which a network saw its training images, and the size of their boxes.

It is in `scale.json` of a run, written when training begins; exported models carry the same section. No torch here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError, demand_whole
from lightdet.core.files import read_json, write_json
from lightdet.core.shown import shown
from lightdet.ops.grid import ImageSize, height_width
from lightdet.ops.tiles import Tiles

FILE, KEY = "scale.json", "trained_scale"
LEAST, MOST = 16, 100_000  # sides of a tile, px
UNKNOWN = 0.25  # of a tile, where the boxes of the training are not known
HALF = 0.5  # of a tile: the most that neighbours overlap
Choice = Tiles | int | bool | None  # True: as the training says; a number: the longer side; False and None: no tiles


@dataclass(frozen=True, slots=True)
class TrainedScale:
    """scale: input px per original px, the median of the training images. box_height, box_width: original px, which 99
    of 100 boxes do not exceed; None: there were none."""

    scale: float
    box_height: float | None
    box_width: float | None

    def as_json(self) -> dict[str, Any]:
        """The section that `to_scale` reads."""
        return asdict(self)


def tiles_for(choice: Choice, image_size: ImageSize, scale: TrainedScale | None) -> Tiles | None:
    """The tiles that are asked for, of a network whose input is `image_size` px.

    A tile is as large as the training images on the whole: it fills the input at the scale of the training. Neighbours
    overlap by the size that 99 of 100 training boxes do not exceed, at most by half a tile. Raises LightdetError for a
    side that is none, and where the training's scale is needed and not known.
    """
    if choice is None or choice is False or isinstance(choice, Tiles):
        return choice or None
    height, width = height_width(image_size)
    if choice is True:
        if scale is None:
            raise LightdetError("tiles: the scale of the training is not known here; give a side in px, such as 640")
        ratio = 1 / scale.scale
    else:
        demand_whole("tiles", choice, LEAST, MOST)
        ratio = choice / max(height, width)
    sides = [min(MOST, max(LEAST, round(side * ratio))) for side in (height, width)]
    boxes = (None, None) if scale is None else (scale.box_height, scale.box_width)
    overlaps = [
        int(min(HALF * side, ceil(UNKNOWN * side if box is None else box)))
        for side, box in zip(sides, boxes, strict=True)
    ]
    return Tiles(*sides, *overlaps)


def to_scale(content: Any, place: str) -> TrainedScale | None:
    """A section of a file, checked; None for none. Raises LightdetError, which begins with `place`, for a wrong one."""
    if content is None:
        return None
    try:
        boxes = [content[name] for name in ("box_height", "box_width")]
        return TrainedScale(_positive(content["scale"]), *(None if box is None else _positive(box) for box in boxes))
    except (KeyError, TypeError, ValueError) as error:
        reason = shown(f"{type(error).__name__}: {error}"[:200])
        raise LightdetError(f"{place}: the scale of the training is damaged ({reason})") from None


def write_scale(run: Path, scale: TrainedScale) -> None:
    """Writes RUN/scale.json."""
    write_json(run / FILE, scale.as_json())


def read_scale(run: Path) -> TrainedScale | None:
    """What the run's training wrote; None: it is of older code, or has no boxes."""
    content: Mapping[str, Any] = read_json(run / FILE)
    return to_scale(content or None, str(run / FILE))


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MOST:
        raise ValueError(f"{value} is no number above 0")
    return float(value)
