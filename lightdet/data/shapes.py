"""The shapes that annotation tools draw, and the boxes around them. All in original px unless a name says otherwise."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Box = tuple[float, float, float, float]  # xyxy
Point = tuple[float, float]


class Shape(NamedTuple):
    """One drawn object of an image, reduced to the box around it."""

    place: str  # where in its file: "shapes[3]"
    name: str  # of its class
    box_xyxy: Box
    group: object = None  # shapes of one group may be parts of one object; None: it stands alone
    outline: bool = False  # drawn along the object (a polygon, an ellipse, a mask), not as a box
    crowd: bool = False


def box_around(points: Iterable[Point]) -> Box:
    """The smallest box that holds all points, one at least; not a number where any is none, which `min` would hide."""
    xs, ys = zip(*points, strict=True)
    if not all(map(math.isfinite, (*xs, *ys))):
        return (math.nan,) * 4
    return min(xs), min(ys), max(xs), max(ys)


def turned_box(box_xyxy: Box, degrees: float, pivot: Point | None = None) -> Box:
    """The box around a rectangle that is turned clockwise, as it is seen, about `pivot` (None: its centre)."""
    if degrees % 360 == 0:
        return box_xyxy
    x1, y1, x2, y2 = box_xyxy
    px, py = pivot or ((x1 + x2) / 2, (y1 + y2) / 2)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return box_around(
        (px + (x - px) * cosine - (y - py) * sine, py + (x - px) * sine + (y - py) * cosine)
        for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    )


def ellipse_box(centre: Point, radii: Point, degrees: float = 0.0) -> Box:
    """The box around an ellipse whose axes are turned clockwise about its centre."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(radii[0] * cosine, radii[1] * sine)
    half_height = math.hypot(radii[0] * sine, radii[1] * cosine)
    return centre[0] - half_width, centre[1] - half_height, centre[0] + half_width, centre[1] + half_height


def joined(shapes: Sequence[Shape]) -> list[Shape]:
    """The objects that shapes of one image describe: outlines of the same group and class are the parts of one object,
    and say nothing new where that group has a box of the class, too. Boxes are never joined with each other."""
    boxed = {(repr(shape.group), shape.name) for shape in shapes if shape.group is not None and not shape.outline}
    objects: list[Shape] = []
    parts: dict[tuple[str, str], int] = {}  # where in `objects` the object of a group is
    for shape in shapes:
        key = (repr(shape.group), shape.name)  # a file may have anything there, a list too
        if shape.group is None or not shape.outline:
            objects.append(shape)
        elif key in boxed:
            continue
        elif key in parts:
            before = objects[parts[key]]
            corners = [before.box_xyxy[:2], before.box_xyxy[2:], shape.box_xyxy[:2], shape.box_xyxy[2:]]
            objects[parts[key]] = before._replace(box_xyxy=box_around(corners))
        else:
            parts[key] = len(objects)
            objects.append(shape)
    return objects
