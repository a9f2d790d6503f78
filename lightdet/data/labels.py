"""Checks the claims of label files and makes records of them."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from lightdet.config.list_word import list_word, names_in
from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.data.files import DataRoot
from lightdet.data.image import TURNED, Header, original_size
from lightdet.data.lenient import Change, changes_wanted
from lightdet.data.record import Record

BORDER_TOLERANCE = 1.0  # px; counting from 1, or rounding, puts a box this far outside: it is cut at the border
BORDER_SHARE = 0.005  # of the image's side, where that is more: an outline that was drawn a little over the border
TOLD_CUT = 0.01  # px; what is less is the last digit of a label, and not counted
MOST_CLASSES = 1_000_000
MOST_SIDE = 10**9  # px; what no image has, and a float can hold
CLASSES_SETTING = "data.reader.classes"
MISSING = "???"  # Hydra's word for a value that is to be given
NO_CLASS_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, and no letters at all
Item = TypeVar("Item")
Box = tuple[float, float, float, float]  # xyxy, original px


class Claim(NamedTuple):
    """One object as a label file states it."""

    place: str  # where in that file: "object 3", "line 7"
    label: int
    box_xyxy: Box


class DatasetError(LightdetError):
    """All problems with the files of a dataset; as one line, the first problem and the number of the others."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        rest = len(problems) - 1
        more = f" (and {rest} more problem{'s'[: rest > 1]}; `lightdet doctor` lists them)" if rest else ""
        super().__init__(problems[0] + more)


def read_each(items: Mapping[str, Iterable[Item]], read_one: Callable[[Item], Record]) -> dict[str, list[Record]]:
    """Reads every item of every split; raises one DatasetError about all items that cannot be read, or occur twice in a
    split, where they would count twice. Read `leniently`, those items are left out."""
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
                continue
            seen.add(record.image_id)
            records[split].append(record)
    changes = changes_wanted()
    if changes is not None:
        changes += [Change("image left out", *problem.split(": ", 1)) for problem in problems]
    elif problems:
        raise DatasetError(list(problems))
    _demand_pixels([record for some in records.values() for record in some])
    return records


def _demand_pixels(records: Sequence[Record]) -> None:
    """Raises LightdetError where every box lies in the first pixel of its image, as shares of the image would."""
    marked = [record for record in records if len(record.boxes_xyxy)]
    if marked and max(record.boxes_xyxy.max() for record in marked) <= 1 < min(original_size(marked[0].path)):
        raise LightdetError(
            f"{marked[0].path}: its boxes and all others lie in the first pixel of their images, as if shares of "
            "the image were given where pixels are expected; multiply them by width and height"
        )


def make_record(
    root: DataRoot,
    image: Path,
    claims: Sequence[Claim],
    said_by: Path,
    size: tuple[int, int],
    crowd: Sequence[Claim] = (),
) -> Record:
    """A record of an image of `size` (height, width) px; `crowd` are regions of many objects (`Boxes`).

    Parts of boxes that are cut at the border are counted in `root.left_out`. Raises LightdetError for a box that does
    not fit the image; read `leniently`, such a box is cut at the border or dropped.
    """
    boxes, regions = (_checked_boxes(some, size, said_by, root.left_out) for some in (claims, crowd))
    return Record(image_id=root.image_id(image), path=image, annotation=Boxes(*boxes, *regions))


def _checked_boxes(
    claims: Sequence[Claim], size: tuple[int, int], said_by: Path, left_out: LeftOut
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) float32 boxes and (N,) int64 labels."""
    changes = changes_wanted()
    boxes, labels = list[Box](), list[int]()
    for claim in claims:
        try:
            box = checked_box(claim, *size, said_by, left_out)
        except LightdetError as error:
            if changes is None:
                raise
            cut = cut_at_border(claim.box_xyxy, *size)
            what = "box dropped" if cut is None else "box cut at the border"
            place = f"{said_by}: {claim.place}"
            changes.append(Change(what, place, str(error).removeprefix(f"{place}: ")))
            if cut is None:
                continue
            box = cut
        boxes.append(box)
        labels.append(claim.label)
    return np.array(boxes, dtype=np.float32).reshape(-1, 4), np.array(labels, dtype=np.int64)


def cut_at_border(box: Box, height: int, width: int) -> Box | None:
    """The part of a box inside an image; None where nothing is left, and for one that is inverted or not finite."""
    x1, y1, x2, y2 = box
    cut = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    left, top, right, bottom = map(np.float32, cut)  # as records have it
    return cut if all(map(math.isfinite, box)) and left < right and top < bottom else None


def checked_box(claim: Claim, height: int, width: int, said_by: Path, left_out: LeftOut) -> Box:
    """The box, cut at the image's border where it reaches outside by no more than a pixel or BORDER_SHARE of the side.

    Raises LightdetError for a box that reaches further, and for one that is empty in float32, as records have it.
    """
    x1, y1, x2, y2 = claim.box_xyxy
    where = f"{said_by}: {claim.place}: box ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
    if not all(map(math.isfinite, claim.box_xyxy)):
        raise LightdetError(f"{where} is not made of finite numbers; correct or remove it")
    if x2 < x1 or y2 < y1:
        raise LightdetError(f"{where} is inverted (left < right and top < bottom must hold); correct or remove it")
    of_image = f"the image of {width} x {height} px; correct or remove it"
    over_x, over_y = max(-x1, x2 - width), max(-y1, y2 - height)  # px outside
    if any(over > max(BORDER_TOLERANCE, BORDER_SHARE * side) for over, side in ((over_x, width), (over_y, height))):
        raise LightdetError(f"{where} reaches outside {of_image}")
    if min(x2, y2) < 0 or x1 > width or y1 > height:
        raise LightdetError(f"{where} lies outside {of_image}")
    cut = cut_at_border(claim.box_xyxy, height, width)
    if cut is None:
        raise LightdetError(f"{where} is empty (left < right and top < bottom must hold); correct or remove it")
    if max(over_x, over_y) > TOLD_CUT:
        left_out.add("parts of boxes that reach a little outside their image", f"{said_by}: {claim.place}")
    return cut


def parse_number(text: str | None, place: str, said_by: Path) -> float:
    """A number of a label file; NaN and infinity are checked with the box. Raises LightdetError for anything else."""
    try:
        return float((text or "").replace("_", "?"))  # Python reads 0_5 as 5
    except ValueError as error:
        shown = repr((text or "")[:40])
        raise LightdetError(f"{said_by}: {place}: {shown} is not a number; correct or remove it") from error


def class_number(text: str) -> int | None:
    """A class that a label file gives as a number, "1" as well as "1.0"; None for anything else."""
    try:
        number = float(text.replace("_", "?"))  # Python reads 1_0 as 10
    except ValueError:
        return None
    return int(number) if 0 <= number < MOST_CLASSES and number.is_integer() else None


def wrong_size(height: float, width: float, header: Header) -> str:
    """What contradicts a label file that was made for an image of `height` x `width` px; "" where nothing does.

    A size of 0 is one that the tool did not know.
    """
    if 0 in (height, width) or (height, width) == header[:2]:
        return ""
    text = f"made for an image of {width:g} x {height:g} px, but the image has {header.width} x {header.height} px"
    if (width, height) == header[:2] and header.orientation in TURNED:
        return (
            f"{text} when it is turned as its EXIF orientation ({header.orientation}) says: the boxes are those of the "
            "image as it is stored; store it upright without an orientation, and turn its boxes"
        )
    return f"{text}; annotate this image, or correct the size if the boxes fit it"


def checked_classes(names: Iterable[object], said_by: Path | str) -> tuple[str, ...]:
    """Class names in the order of their labels. Raises LightdetError unless they are distinct texts, one at least."""
    key = said_by if said_by == CLASSES_SETTING else None
    if isinstance(names, str) or not isinstance(names, Iterable):
        form = list_word(key, names_in(str(names))) if key else f"[{names}]"
        raise LightdetError(f"{said_by}={names}: give a list, {form}")
    classes = tuple(names)
    for index, name in enumerate(classes):
        if not isinstance(name, str):
            form = f", {list_word(key, [_as_typed(each) for each in classes])}" if key else ""
            raise LightdetError(f"{said_by}: class {index} is {name!r} and no text; write the names in quotes{form}")
        if not name.strip() or NO_CLASS_NAME.search(name):
            raise LightdetError(f"{said_by}: class {index} has no proper name, but {name[:40]!r}; give it one")
        if "${" in name or name == MISSING:
            raise LightdetError(
                f"{said_by}: class {index} is {name[:40]!r}, which a configuration takes for another value; rename it"
            )
        if name in classes[:index]:
            raise LightdetError(f"{said_by}: class {name!r} is named twice; every class needs a different name")
    if not classes:
        raise LightdetError(f"{said_by}: no classes; name one at least")
    return tuple(str(name) for name in classes)


def _as_typed(value: object) -> str:
    """A value of the command line as it was probably written: `true` and `null` are no texts to Hydra."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def unknown_class(name: object, classes: Sequence[str], place: str, said_by: Path) -> LightdetError:
    """The error for a class that is not in the list of classes."""
    return LightdetError(
        f"{said_by}: {place}: unknown class {str(name)[:60]!r}; known are {', '.join(classes)}; correct the label, "
        "or the classes of the dataset"
    )
