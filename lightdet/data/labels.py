"""Checks the claims of label files and makes records of them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.files import DataRoot
from lightdet.data.record import Record

BORDER_TOLERANCE = 1.0  # px; counting from 1, or rounding, puts a box this far outside: it is cut at the border
Item = TypeVar("Item")


class Claim(NamedTuple):
    """One object as a label file states it."""

    place: str  # where in that file: "object 3", "line 7"
    label: int
    box_xyxy: tuple[float, float, float, float]  # original px


class DatasetError(LightdetError):
    """All problems with the files of a dataset; as one line, the first problem and the number of the others."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        rest = len(problems) - 1
        more = f" (and {rest} more problem{'s'[: rest > 1]}; `lightdet doctor` lists them)" if rest else ""
        super().__init__(problems[0] + more)


def read_each(items: Mapping[str, Iterable[Item]], read_one: Callable[[Item], Record]) -> dict[str, list[Record]]:
    """Reads every item of every split; raises one DatasetError about all items that cannot be read, or occur twice in a
    split, where they would count twice."""
    records: dict[str, list[Record]] = {split: [] for split in items}
    problems: dict[str, None] = {}
    for split, wanted in items.items():
        seen: set[str] = set()
        for item in wanted:
            try:
                record = read_one(item)
            except LightdetError as error:
                problems[" ".join(str(error).split())] = None
                continue
            if record.image_id in seen:
                problems[f"{record.path}: named twice for the split {split!r}; remove one of the two"] = None
            seen.add(record.image_id)
            records[split].append(record)
    if problems:
        raise DatasetError(list(problems))
    return records


def make_record(root: DataRoot, image: Path, claims: Sequence[Claim], said_by: Path, size: tuple[int, int]) -> Record:
    """A record of an image of `size` (height, width) px. Raises LightdetError for a box that does not fit the image."""
    boxes = [checked_box(claim, *size, said_by) for claim in claims]
    return Record(
        image_id=root.image_id(image),
        path=image,
        annotation=Boxes(
            xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            labels=np.array([claim.label for claim in claims], dtype=np.int64),
        ),
    )


def checked_box(claim: Claim, height: int, width: int, said_by: Path) -> tuple[float, float, float, float]:
    """The box, cut at the image's border where it lies outside by no more than a pixel. Raises LightdetError."""
    x1, y1, x2, y2 = claim.box_xyxy
    where = f"{said_by}: {claim.place}: box ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
    if not all(map(math.isfinite, claim.box_xyxy)):
        raise LightdetError(f"{where} is not made of finite numbers; correct or remove it")
    if x2 <= x1 or y2 <= y1:
        word = "inverted" if x2 < x1 or y2 < y1 else "empty"
        raise LightdetError(f"{where} is {word} (left < right and top < bottom must hold); correct or remove it")
    if min(x1, y1) < -BORDER_TOLERANCE or x2 > width + BORDER_TOLERANCE or y2 > height + BORDER_TOLERANCE:
        raise LightdetError(f"{where} reaches outside the image of {width} x {height} px; correct or remove it")
    cut = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        raise LightdetError(f"{where} lies outside the image of {width} x {height} px; correct or remove it")
    return cut


def parse_number(text: str | None, place: str, said_by: Path) -> float:
    """A number of a label file; NaN and infinity are checked with the box. Raises LightdetError for anything else."""
    try:
        return float(text or "")
    except ValueError as error:
        shown = repr((text or "")[:40])
        raise LightdetError(f"{said_by}: {place}: {shown} is not a number; correct or remove it") from error


def checked_classes(names: Iterable[object], said_by: Path | str) -> tuple[str, ...]:
    """Class names in the order of their labels. Raises LightdetError unless they are distinct texts, one at least."""
    if isinstance(names, str):
        raise LightdetError(f"{said_by}={names}: give a list, {said_by}=[{names}]")
    classes = tuple(names)
    for index, name in enumerate(classes):
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise LightdetError(
                f"{said_by}: class {index} has no proper name; give a text, in quotes where YAML needs them"
            )
        if name in classes[:index]:
            raise LightdetError(f"{said_by}: class {name!r} is named twice; every class needs a different name")
    if not classes:
        raise LightdetError(f"{said_by}: no classes; name one at least")
    return tuple(str(name) for name in classes)


def unknown_class(name: object, classes: Sequence[str], place: str, said_by: Path) -> LightdetError:
    """The error for a class that is not in the list of classes."""
    return LightdetError(
        f"{said_by}: {place}: unknown class {str(name)[:60]!r}; known are {', '.join(classes)}; correct the label, "
        "or the classes of the dataset"
    )
