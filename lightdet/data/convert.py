"""Writes a dataset in another format: whole or not at all, never over a folder, and read back before it counts."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lightdet.config.data_command import data_command
from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.core.progress import watched
from lightdet.data.groups import read_splits
from lightdet.data.image import original_size
from lightdet.data.reader_of import option_reader
from lightdet.data.record import KIND_NAMES, Reader, Record, doubts_of
from lightdet.data.writer.contract import Placed, Settings, Splits, Writer
from lightdet.data.writer.names import new_names

FORMATS = ("coco", "yolo", "voc", "labelme", "datumaro")
IMAGES = ("copy", "link")
DIGIT = 1e-3  # px; a box that comes back with a larger difference would be a defect of a writer


class Converted(NamedTuple):
    """What was written."""

    images: dict[str, int]  # by split
    boxes: int
    told: tuple[str, ...]  # what was left out or changed, a line each
    settings: Settings  # of data.reader, with which the new dataset is read, beside root
    words: str  # of a command line that says so


def convert(reader: Reader, to: str, out: Path, images: str = "copy", group: str | None = None) -> Converted:
    """Write the dataset of a reader to the new folder `out` in one of FORMATS.

    Images are copied, or linked (`images="link"`: as hard links, on the same file system); they keep their splits, and
    their names as far as no two become equal. Only boxes and, where the format has them, crowd regions are carried;
    what is not, is counted. `group` is data.group, for splits that lightdet draws. Raises LightdetError for another
    format, a folder that exists, and data without boxes.
    """
    writer = _writer(to, images)
    left_out = LeftOut()
    with new_folder(out) as stage:
        kept = with_boxes(read_splits(reader, group=group), left_out)
        told = [*doubts_of(reader)]
        _check_classes(reader.classes, writer)
        splits, renamed = _placed(kept)
        told += renamed
        _count_what_stays(splits, writer, left_out)
        _place_images(stage, writer, splits, images)
        writer.write(stage, reader.classes, splits)
        settings = writer.settings(reader.classes, splits)
        _read_back(stage, writer, reader.classes, splits, settings)
    return Converted(
        images={split: len(placed) for split, placed in splits.items()},
        boxes=sum(len(one.record.box_labels) for placed in splits.values() for one in placed),
        told=(*told, *left_out.lines()),
        settings=settings,
        words=data_command(writer.option, {"root": str(out.absolute()), **settings}),
    )


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out`, which is renamed to it at the end, or removed where that fails. Raises LightdetError where
    `out` exists."""
    if os.path.lexists(out):
        raise LightdetError(f"out={out}: there is something already; give a new folder")
    stage = out.absolute().with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        yield stage
        os.rename(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _writer(to: str, images: str) -> Writer:
    if to not in FORMATS:
        raise LightdetError(f"to={to}: one of {', '.join(FORMATS)}")
    if images not in IMAGES:
        raise LightdetError(f"images={images}: one of {', '.join(IMAGES)}")
    module: Any = import_module(f"lightdet.data.writer.{to}")
    writer: Writer = getattr(module, to.capitalize())()
    return writer


def with_boxes(splits: Mapping[str, Sequence[Record]], left_out: LeftOut) -> dict[str, list[Record]]:
    """The records whose annotation is boxes; an image with another one would become an image without objects."""
    kept: dict[str, list[Record]] = {}
    for split, records in splits.items():
        for record in records:
            if isinstance(record.annotation, Boxes):
                kept.setdefault(split, []).append(record)
            else:
                kind = KIND_NAMES.get(type(record.annotation), "annotation") if record.annotation else "annotation"
                left_out.add(f"images with a {kind} in place of boxes", record.path)
    if not {"train", "val"} <= kept.keys():
        missing = "train" if "train" not in kept else "val"
        raise LightdetError(f"no image of the {missing} split has boxes, which is all that can be converted")
    return kept


def _check_classes(classes: Sequence[str], writer: Writer) -> None:
    blank = [name for name in classes if writer.strips and name != name.strip()]
    if blank:
        raise LightdetError(f"class {blank[0]!r}: {writer.option} keeps no blanks around a name; take to=coco or yolo")


def _placed(splits: Mapping[str, Sequence[Record]]) -> tuple[Splits, list[str]]:
    names = new_names({record.image_id for records in splits.values() for record in records})
    placed = {
        split: [Placed(record, names[record.image_id], *original_size(record.path)) for record in records]
        for split, records in splits.items()
    }
    renamed = [(image_id, name) for image_id, name in names.items() if Path(image_id).name != name]
    if not renamed:
        return placed, []
    count = "1 image has" if len(renamed) == 1 else f"{len(renamed)} images have"
    example = f"{renamed[0][0]} is {renamed[0][1]}"
    return placed, [f"{count} a new name, because another image has the old one or it is unsafe: {example}"]


def _count_what_stays(splits: Splits, writer: Writer, left_out: LeftOut) -> None:
    for placed in splits.values():
        for record, *_ in placed:
            boxes = record.annotation
            if isinstance(boxes, Boxes) and len(boxes.crowd_labels) and not writer.crowd:
                reason = f"crowd regions, which {writer.option} does not have"
                left_out.add(reason, record.path, len(boxes.crowd_labels))
            if record.reference is not None:
                left_out.add("reference images", record.reference)
            if record.domain:
                left_out.add("domains of images", record.path)


def _place_images(stage: Path, writer: Writer, splits: Splits, images: str) -> None:
    sources = {
        stage / writer.image(split, one.name): one.record.path for split, placed in splits.items() for one in placed
    }
    for folder in {target.parent for target in sources}:
        folder.mkdir(parents=True, exist_ok=True)
    for target, source in watched(sources.items(), len(sources), "images"):
        try:
            if images == "link":
                os.link(source.resolve(), target)
            else:
                shutil.copyfile(source, target)
        except OSError as error:
            if images == "link":
                text = "cannot be linked from there, as on another file system; take images=copy"
                raise LightdetError(f"{source}: {text} ({error.strerror})") from error
            error.filename = error.filename or str(target)
            raise


def _read_back(stage: Path, writer: Writer, classes: Sequence[str], splits: Splits, settings: Settings) -> None:
    """Raises LightdetError unless the new dataset is read as the old one."""
    reader = option_reader(writer.option, {"root": str(stage), **settings})
    read = reader.read()
    same = tuple(reader.classes) == tuple(classes) and read.keys() == splits.keys()
    for split, placed in splits.items() if same else ():
        by_name = {record.path.name: record for record in read[split]}
        same = same and by_name.keys() == {one.name for one in placed}
        same = same and all(_equal(one.record, by_name[one.name], writer.crowd) for one in placed)
    if not same:
        raise LightdetError(f"to={writer.option}: it is not read back as it was written; nothing was kept")


def _equal(before: Record, after: Record, crowd: bool) -> bool:
    old, new = before.annotation, after.annotation
    assert isinstance(old, Boxes) and isinstance(new, Boxes)
    pairs = [(old.xyxy, old.labels, new.xyxy, new.labels)]
    if crowd:
        pairs.append((old.crowd_xyxy, old.crowd_labels, new.crowd_xyxy, new.crowd_labels))
    return all(
        np.array_equal(old_labels, new_labels)
        and old_boxes.shape == new_boxes.shape
        and np.allclose(old_boxes, new_boxes, rtol=0, atol=DIGIT)
        for old_boxes, old_labels, new_boxes, new_labels in pairs
    )
