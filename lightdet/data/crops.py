"""Each box of a dataset as an image in the folder of its class: for a classifier that judges what a detector finds."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import cv2
import numpy as np

from lightdet.config.data_command import data_command
from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError, demand_share, demand_whole
from lightdet.core.files import write_json
from lightdet.core.left_out import LeftOut, is_hidden
from lightdet.core.progress import watched
from lightdet.data.convert import Converted, new_folder, with_boxes
from lightdet.data.groups import read_splits
from lightdet.data.image import original_size, read_values
from lightdet.data.image_labels import GOOD
from lightdet.data.reader.folder import NAMES, Folder
from lightdet.data.record import Reader, Record, doubts_of
from lightdet.data.split import ticket
from lightdet.data.writer.names import new_names, safe
from lightdet.ops.crop import Window, square_around

ATTEMPTS = 100  # places that are tried for a background crop
SOURCES = "crops.json"


class Cropping(NamedTuple):
    """How boxes become images."""

    margin: float = 0.25  # around a box, as a share of its longer side
    least: int = 16  # px, side of a crop
    background: int = 0  # crops of each image that touch no box
    seed: int = 0  # of their places


def write_crops(reader: Reader, out: Path, how: Cropping | None = None, group: str | None = None) -> Converted:
    """Writes the boxes of a dataset to the new folder `out`, as `SPLIT/CLASS/IMAGE__BOX.png`, and crops.json, which
    says from which image, box (counted from 0) and place, in original px, each comes.

    A crop is a square with a margin (`square_around`), upright, with the values of the file, so that `data.bits` stays
    what it is. Background crops are of the class "good", as large as the crops of boxes and at random places of each
    image that share no pixel with a box; they depend on the seed, the sizes of all boxes and the image's id. Crowd
    regions are no crops. `data=folder` reads the result. Raises LightdetError for a folder that exists, data without
    boxes, names of classes that no folder can have, and background crops where the dataset has a class good.
    """
    how = how or Cropping()
    demand_share("margin", how.margin)
    demand_whole("least", how.least, 1)
    demand_whole("background", how.background, 0)
    demand_whole("background_seed", how.seed, 0)
    classes = _folders_of(reader.classes, how.background)
    left_out = LeftOut()
    with new_folder(out) as stage:
        splits = with_boxes(read_splits(reader, group=group), left_out)
        told = doubts_of(reader)
        stems = new_names({record.image_id for records in splits.values() for record in records})
        windows = {split: [_windows(record, how, left_out) for record in records] for split, records in splits.items()}
        sizes = [_size(window) for of_split in windows.values() for some in of_split for window in some]
        if not sizes:
            raise LightdetError("the dataset has no boxes, so there is nothing to crop")
        crops: list[dict[str, Any]] = []
        for split, records in splits.items():
            for record, some in watched(zip(records, windows[split], strict=True), len(records), "images"):
                stem = PurePosixPath(stems[record.image_id]).stem
                free = _background(record, sizes, how, left_out)
                crops += _write(stage, split, record, stem, [*_named(record, some, classes), *free])
        write_json(
            stage / SOURCES,
            {"classes": list(reader.classes), "margin": how.margin, "least": how.least, "crops": crops},
        )
        names = [*reader.classes, *([GOOD] if how.background else [])]
        counts = _read_back(stage, names, crops)
    return Converted(
        images=counts,
        boxes=len(sizes),
        told=(*told, *left_out.lines()),
        settings={"classes": names},
        words=data_command("folder", {"root": str(out.absolute()), "classes": names}),
    )


class Named(NamedTuple):
    """A crop before it is written."""

    folder: str  # of its class
    box: int | None  # counted from 0; None: of the background
    window: Window


def _folders_of(classes: Sequence[str], background: int) -> list[str]:
    """The folder of each class, by label."""
    reserved = [name for names in NAMES.values() for name in names]
    for name in classes:
        if safe(name) != name or is_hidden(Path(name)) or "/" in name or name in reserved:
            raise LightdetError(f"class {name!r}: no folder can have this name; rename the class in the dataset")
    if background and GOOD in classes:
        raise LightdetError(f"background={background}: the dataset has a class {GOOD!r} of its own; take background=0")
    return list(classes)


def _windows(record: Record, how: Cropping, left_out: LeftOut) -> list[Window]:
    boxes = record.annotation
    assert isinstance(boxes, Boxes)
    if len(boxes.crowd_labels):
        left_out.add("crowd regions, which show several objects", record.path, len(boxes.crowd_labels))
    size = original_size(record.path)
    return [square_around(box, *size, how.margin, how.least) for box in boxes.xyxy.tolist()]


def _named(record: Record, windows: Sequence[Window], classes: Sequence[str]) -> list[Named]:
    labels = record.box_labels.tolist()
    return [Named(classes[labels[box]], box, window) for box, window in enumerate(windows)]


def _background(record: Record, sizes: Sequence[tuple[int, int]], how: Cropping, left_out: LeftOut) -> list[Named]:
    """Parts of an image that share no pixel with one of its boxes or crowd regions."""
    boxes = record.annotation
    assert isinstance(boxes, Boxes)
    taken = np.concatenate((boxes.xyxy, boxes.crowd_xyxy)).astype(np.float64)
    height, width = original_size(record.path)
    generator = np.random.default_rng([how.seed, *ticket(record.image_id, how.seed)])
    found: list[Named] = []
    for _ in range(ATTEMPTS * how.background):
        if len(found) == how.background:
            break
        high, wide = sizes[int(generator.integers(len(sizes)))]
        high, wide = min(high, height), min(wide, width)
        left, top = int(generator.integers(width - wide + 1)), int(generator.integers(height - high + 1))
        right, bottom = left + wide, top + high
        over_x = (taken[:, 0] < right) & (taken[:, 2] > left)
        if not (over_x & (taken[:, 1] < bottom) & (taken[:, 3] > top)).any():
            found.append(Named(GOOD, None, (left, top, right, bottom)))
    if len(found) < how.background:
        reason = "background crops, of images without enough room between their boxes"
        left_out.add(reason, record.path, how.background - len(found))
    return found


def _size(window: Window) -> tuple[int, int]:
    left, top, right, bottom = window
    return bottom - top, right - left


def _write(stage: Path, split: str, record: Record, stem: str, named: Sequence[Named]) -> list[dict[str, Any]]:
    """Writes the crops of an image, and returns what crops.json says of them."""
    if not named:
        return []
    values = read_values(record.path)
    if values.dtype != np.uint8:
        values = values.astype(np.uint16)
    if values.ndim == 3:
        grey = (values[..., :1] == values).all()
        values = values[..., 0] if grey else values[..., ::-1]
    entries, free = [], 0
    for folder, box, (left, top, right, bottom) in named:
        free += box is None
        file = f"{split}/{folder}/{stem}__{f'{GOOD}{free - 1}' if box is None else box}.png"
        path = stage / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", values[top:bottom, left:right])[1].tobytes())
        entry: dict[str, Any] = {"file": file, "image": record.image_id, "crop_xyxy": [left, top, right, bottom]}
        entries.append(entry if box is None else {**entry, "box": box, "box_xyxy": record.boxes_xyxy[box].tolist()})
    return entries


def _read_back(stage: Path, classes: Sequence[str], crops: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Images by split. Raises LightdetError unless the new dataset is read as it was written."""
    read = Folder(str(stage), classes).read()
    found = {record.image_id: classes[record.labels.item()] for records in read.values() for record in records}
    if found != {crop["file"]: crop["file"].split("/")[1] for crop in crops}:
        raise LightdetError("to=crops: it is not read back as it was written; nothing was kept")
    return {split: len(records) for split, records in read.items()}
