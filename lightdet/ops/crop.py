"""The part of an image that shows a box with what is around it. No torch here."""

import math
from collections.abc import Sequence

Window = tuple[int, int, int, int]  # left, top, right, bottom: px of the image, whole


def square_around(box_xyxy: Sequence[float], height: int, width: int, margin: float = 0.25, least: int = 1) -> Window:
    """A square around a box (px) of an image of `height` x `width` px, moved inside where it would leave the image.

    Its side is the box's longer side with `margin` of it on either side, `least` px at least. Where the image is
    smaller than that, the part is as high or as wide as the image, and no square. The whole box is inside.
    """
    x1, y1, x2, y2 = map(float, box_xyxy)
    x_span, y_span = (math.floor(x1), math.ceil(x2)), (math.floor(y1), math.ceil(y2))
    wanted = math.ceil(max(x2 - x1, y2 - y1) * (1 + 2 * margin))
    side = max(wanted, x_span[1] - x_span[0], y_span[1] - y_span[0], least)
    left, right = _along((x1 + x2) / 2, side, width, x_span)
    top, bottom = _along((y1 + y2) / 2, side, height, y_span)
    return left, top, right, bottom


def _along(centre: float, side: int, length: int, span: tuple[int, int]) -> tuple[int, int]:
    """From where to where a part of `side` px goes along a side of the image; `span` is in it."""
    start = min(max(round(centre - side / 2), span[1] - side), span[0])
    start = max(0, min(start, length - side))
    return start, min(length, start + side)
