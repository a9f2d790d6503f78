"""A row of a YOLO label file: a box, an outline, or a box with key points behind it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.data.labels import Claim, class_number, parse_number, unknown_class
from lightdet.data.shapes import box_around

SLACK = 0.005  # of the image; labels are rounded, and points on the border lie a little outside
SPREAD = 0.5  # of a box's width or height that its key points cover at least
CORNERS_OF_A_BOX = 8  # numbers; turned boxes are outlines that all have as many
FEWEST_ALIKE = 3  # rows of one length that say something
REFUSED_SHARE, TOLD_SHARE = 0.5, 0.1  # of the outlines of a dataset that look like a box with more behind it
KEY_POINTS = "key points need `kpt_shape: [number, 2 or 3]` in data.yaml"


class Rows:
    """Reads the rows of all label files of a dataset, and notices outlines that were meant as something else.

    `class cx cy w h` is a box and `class x1 y1 x2 y2 x3 y3 ...` an outline, in shares of the image. `kpt_shape`
    [number, values of each] of data.yaml says that a row is a box and so many key points, which are not used; its
    number 0 that there are none. Without it a dataset half of whose outlines look like a box with its key points, or
    with a score and a track, is refused.
    """

    def __init__(self, classes: Sequence[str], kpt_shape: Any, said_by: Path) -> None:
        self._classes = classes
        self._doubted = kpt_shape is None
        number, values = (0, 0) if kpt_shape is None else _checked_shape(kpt_shape, said_by)
        self._more = number * values  # values behind a box
        self._said_by = said_by
        self._outlines = 0
        self._boxed: list[str] = []  # places of outlines whose first four numbers are a box around the rest
        self._lengths: set[int] = set()  # of outlines, numbers
        self._inside: list[str] = []  # the same, also of those that cover little of that box

    def claim(self, row: str, place: str, path: Path, size: tuple[int, int]) -> Claim:
        """The object of a row, for an image of `size` (height, width) px. Raises LightdetError."""
        words = row.split()
        count = len(words) - 1
        self._check_count(count, f"{path}: {place}")
        label = class_number(words[0])
        if label is None or label >= len(self._classes):
            numbered = [f"{known} ({name})" for known, name in enumerate(self._classes)]
            raise unknown_class(words[0], numbered, place, path)
        height, width = size
        numbers = [parse_number(word, place, path) for word in words[1:]]
        if count == 4 or self._more:
            cx, cy, w, h = numbers[:4]
            box = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
            return Claim(place, label, box)
        if self._doubted:
            self._outlines += 1
            self._lengths.add(count)
            likeness = _likeness(numbers)
            self._inside += [f"{path}: {place}"] * (likeness > 0)
            self._boxed += [f"{path}: {place}"] * (likeness > 1)
        corners = zip(numbers[::2], numbers[1::2], strict=True)
        return Claim(place, label, box_around((x * width, y * height) for x, y in corners))

    def demand_outlines(self) -> None:
        """Raises LightdetError where the outlines that were read are none."""
        alike = len(self._lengths) == 1 and self._lengths != {CORNERS_OF_A_BOX} and self._outlines >= FEWEST_ALIKE
        places = self._inside if alike and len(self._inside) == self._outlines else self._boxed
        if places and len(places) >= REFUSED_SHARE * self._outlines:
            raise LightdetError(f"{places[0]}: {self._text(len(places))}")

    @property
    def doubts(self) -> tuple[str, ...]:
        """A line about outlines that may be none."""
        if len(self._boxed) <= TOLD_SHARE * self._outlines:
            return ()
        return (f"{self._boxed[0]}, taken as an outline: {self._text(len(self._boxed))}",)

    def _text(self, count: int) -> str:
        return (
            f"the first four numbers are a box around the others, in {count} of {self._outlines} rows with "
            f"more than a box; {KEY_POINTS}, outlines `kpt_shape: [0, 2]`, and other columns are to be removed"
        )

    def _check_count(self, count: int, where: str) -> None:
        if self._more:
            if count not in (4, 4 + self._more):
                raise LightdetError(
                    f"{where}: {count + 1} values where `class cx cy w h` is expected, or {5 + self._more} with the "
                    f"key points of kpt_shape in {self._said_by}; correct one of them"
                )
        elif count != 4 and (count < 6 or count % 2):
            more = f" ({KEY_POINTS})" if count > 4 else ""
            raise LightdetError(f"{where}: {count + 1} values where `class cx cy w h` is expected; correct it{more}")


def _checked_shape(shape: Any, said_by: Path) -> tuple[int, int]:
    whole = isinstance(shape, list) and [type(value) for value in shape] == [int, int]
    if not whole or shape[0] < 0 or shape[1] not in (2, 3):
        text = "give how many key points a row has, and of how many values each: [17, 3], or [4, 2]"
        raise LightdetError(f"{said_by}: 'kpt_shape' is {str(shape)[:40]!r}; {text}")
    return shape[0], shape[1]


def _likeness(numbers: Sequence[float]) -> int:
    """How much a row looks like a box and its key points, or its score and track: 2 surely, 1 possibly, 0 not at all.

    The first four numbers must be a box in the image; all other points in it are 1, and 2 if they cover much of it.
    """
    cx, cy, w, h, *rest = numbers
    left, top, right, bottom = cx - w / 2 - SLACK, cy - h / 2 - SLACK, cx + w / 2 + SLACK, cy + h / 2 + SLACK
    if min(w, h) <= 0 or min(left, top) < -2 * SLACK or max(right, bottom) > 1 + 2 * SLACK:
        return 0
    if max(rest) > 1 + SLACK and len(rest) % 3:  # no outline reaches so far
        return 2

    def inside(points: Sequence[tuple[float, float]]) -> bool:
        return all(left <= x <= right and top <= y <= bottom for x, y in points)

    if len(rest) % 3 == 0 and set(rest[2::3]) <= {0.0, 1.0, 2.0}:  # x, y, and whether the point is seen
        triples = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        return 2 if inside([(x, y) for x, y, seen in triples if seen]) else 0
    points = [(x, y) for x, y in zip(rest[::2], rest[1::2], strict=True) if (x, y) != (0, 0)]  # 0, 0: not labelled
    if len(rest) == 2:
        return 2 if inside(points) or any(value.is_integer() for value in rest) else 0
    if not points or not inside(points):
        return 0
    spread_x, spread_y = (max(values) - min(values) for values in zip(*points, strict=True))
    return 2 if spread_x >= SPREAD * w or spread_y >= SPREAD * h else 1
