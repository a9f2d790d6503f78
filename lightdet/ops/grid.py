"""Prediction grids, named by their size at 608 px: stride 8 is grid 76, 16 is 38, 32 is 19, 4 is 152. No torch here.

A network has the grids of its strides; an input size is `image_size`, the side of a square or [height, width], in px.
"""

from collections.abc import Sequence
from typing import Any

from lightdet.core.errors import LightdetError, demand_whole

REFERENCE_SIZE = 608  # px; the input at which a grid's name is its size
STRIDES = (8, 16, 32)  # px; of a network that is not configured otherwise
ALL_STRIDES = (4, 8, 16, 32)  # px; those that a backbone can give
COARSEST = 32  # px; of which input sizes are multiples
ImageSize = int | Sequence[int]  # px: side of a square, or height and width


def grid_names(strides: Sequence[int]) -> tuple[str, ...]:
    """(8, 16, 32) -> ("76", "38", "19")."""
    return tuple(str(REFERENCE_SIZE // stride) for stride in strides)


def parse_head(head: str | int, strides: Sequence[int] = ALL_STRIDES) -> tuple[str, ...]:
    """Names of grids, finest first: 76 -> ("76",), "76-38" -> ("76", "38"), "all", "none".

    Raises LightdetError for a grid that a network of these strides does not have.
    """
    text, grids = str(head), grid_names(strides)
    if text == "none":
        return ()
    names = grids if text == "all" else tuple(text.split("-"))
    if set(names) - set(grids) or len(set(names)) != len(names):
        raise LightdetError(
            f"head={text}: a grid is one of {', '.join(grids)}; join several with '-' (head=76-38), or use all or none"
        )
    return tuple(grid for grid in grids if grid in names)


def height_width(image_size: ImageSize) -> tuple[int, int]:
    """320 -> (320, 320), [256, 320] -> (256, 320), px."""
    if isinstance(image_size, int):
        return image_size, image_size
    height, width = image_size
    return int(height), int(width)


def plain_size(image_size: ImageSize) -> ImageSize:
    """The same as a number or a list of two, also where it comes from a configuration."""
    return image_size if isinstance(image_size, int) else list(height_width(image_size))


def square_side(image_size: ImageSize, model: str) -> int:
    """The side, px, of a square input. Raises LightdetError for another input, which that model does not take."""
    height, width = height_width(image_size)
    if height != width:
        raise LightdetError(f"image_size={[height, width]}: {model} takes square images alone; give one side")
    return height


def size_text(image_size: ImageSize) -> str:
    """320 -> "320 px", [256, 320] -> "256 x 320 px" (height x width)."""
    return " x ".join(map(str, dict.fromkeys(height_width(image_size)))) + " px"


def check_image_size(image_size: Any) -> None:
    """Raises LightdetError for an input, px, that the coarsest grid does not divide, and for what is no size."""
    pair = isinstance(image_size, Sequence) and not isinstance(image_size, str)
    sides = list(image_size) if pair else [image_size]
    if pair and len(sides) != 2:
        raise LightdetError(f"image_size={sides}: give one side, or two as [height,width]")
    for side in sides:
        demand_whole("image_size", side, 1)
    if any(side % COARSEST for side in sides):
        near = [max(COARSEST, round(float(side) / COARSEST) * COARSEST) for side in sides]
        nearest = near if pair else near[0]
        raise LightdetError(f"image_size={image_size}: must be a multiple of {COARSEST}; the nearest is {nearest}")
