"""How an image is shown to a network: whole or in tiles, and turned over besides. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.core.shown import shown
from lightdet.ops.flips import FLIPS
from lightdet.ops.tiles import Tiles
from lightdet.runs.trained_scale import MOST

KEY = "views"


@dataclass(frozen=True, slots=True)
class Views:
    """tiles: None: the image is shown whole. flips: in which it is shown besides as it is."""

    tiles: Tiles | None = None
    flips: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The section that `to_views` reads."""
        return asdict(self)

    def __str__(self) -> str:
        text = "whole images" if self.tiles is None else str(self.tiles)
        return f"{text} with {' and '.join(self.flips)} flips" if self.flips else f"{text} without flips"


def to_views(content: Any) -> Views:
    """A section of a file; None is that of older code, which showed whole images. Raises ValueError, TypeError or
    KeyError for a wrong one."""
    if content is None:
        return Views()
    tiles, flips = content["tiles"], content["flips"]
    if not isinstance(flips, Sequence) or tuple(flips) not in ((), *FLIPS.values()):
        raise ValueError("flips")
    return Views(None if tiles is None else _tiles(tiles), tuple(flips))


def views_of_evaluation(folder: Path) -> Views:
    """How an evaluation showed its images, by metrics.json in its folder. Raises LightdetError for a damaged one."""
    try:
        return to_views(read_json(folder / "metrics.json").get(KEY))
    except (ValueError, TypeError, KeyError) as error:
        reason = shown(f"{type(error).__name__}: {error}"[:200])
        raise LightdetError(f"{folder / 'metrics.json'}: its views are damaged ({reason})") from None


def _tiles(content: Mapping[str, Any]) -> Tiles:
    sides = [content[field.name] for field in fields(Tiles)]
    if not all(type(side) is int and 0 <= side <= MOST for side in sides):
        raise ValueError("tiles")
    tiles = Tiles(*sides)
    if not (tiles.overlap_y < tiles.height and tiles.overlap_x < tiles.width):
        raise ValueError("tiles that overlap by their side")
    return tiles
