"""The mended copy of a dataset: `lightdet doctor --fix OUT`. The dataset itself is only read.

What is changed, each time as a line of changes.csv:
- Boxes are cut at the border of their image, and dropped where nothing is left; of equal boxes of an image one stays.
- An image that cannot be read, or whose label cannot, is left out.
- Of images that show exactly the same one stays: the one of the test split before that of the validation split before
  that of the training split, so that what is measured stays the same; within a split the first by name. Near copies
  are not dropped: which of them count is for a person to judge.
- Classes whose names differ in spaces or case alone are one, under the name with the most boxes; blanks around and
  within names become single spaces.
- An image that is stored turned is stored upright, as a PNG with the same pixels. Boxes stay: they count in the image
  as it is shown.
- A suffix that is not that of the content, or a rare one of it, becomes the usual one.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from unicodedata import normalize

import cv2
import numpy as np

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.core.table import to_csv
from lightdet.data.convert import Converted, convert
from lightdet.data.groups import read_splits
from lightdet.data.image import read_values
from lightdet.data.lenient import Change, leniently
from lightdet.data.record import Reader, Record, doubts_of
from lightdet.doctor.findings import ImageFacts
from lightdet.doctor.image_checks import look_at_images, usual_suffixes

CHANGES_FILE = "changes.csv"
LEFT_OUT = "left out by the reader"
LOSSES = ("box dropped", "image left out", LEFT_OUT)  # what a person should look at
COPY = "coco"  # the format of the copy: it keeps every digit, any name of a class, and crowd regions
KEEP_FIRST = ("test", "val", "train")  # which of equal images stays
Split = dict[str, list[Record]]


class _Mended:
    """The mended dataset as a reader."""

    def __init__(self, classes: tuple[str, ...], splits: Split) -> None:
        self.classes = classes
        self._splits = splits

    def read(self) -> Split:
        return self._splits


def mend(reader: Reader, out: Path, group: str | None = None) -> tuple[Converted, list[Change]]:
    """Writes the mended copy to the new folder `out`, whole or not at all, and changes.csv into it.

    `group` is `data.group`. Raises LightdetError for an `out` that exists, and for a dataset that cannot be mended.
    """
    if os.path.lexists(out):
        raise LightdetError(f"--fix {out}: there is something already; give a new folder")
    with leniently() as changes:
        splits = read_splits(reader, group=group)
    changes += [Change(LEFT_OUT, "", line) for line in doubts_of(reader) if line.startswith("left out: ")]
    facts = look_at_images(splits)
    splits = _readable(splits, facts, changes)
    splits = _without_copies(splits, facts, changes)
    classes, splits = _with_one_name_each(reader.classes, splits, changes)
    splits = {name: [_without_equal_boxes(record, changes) for record in records] for name, records in splits.items()}
    for name in ("train", "val"):
        if not splits.get(name):
            raise LightdetError(
                f"--fix {out}: no image of '{name}' is left, so there is nothing to write; see the doctor"
            )
    stage = out.absolute().with_name(f".{out.name}.{os.getpid()}.mended")
    try:
        stage.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=stage.parent, prefix=f".{out.name}.") as folder:
            upright = {
                name: [_stored_well(record, facts[record.path], Path(folder), changes) for record in records]
                for name, records in splits.items()
            }
            done = convert(_Mended(classes, upright), COPY, stage)
        changes += [Change("told by the writer", "", line) for line in done.told]
        (stage / CHANGES_FILE).write_text(to_csv([Change._fields, *changes]), encoding="utf-8")
        os.rename(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return done._replace(words=done.words.replace(str(stage), str(out.absolute()))), changes


def _readable(splits: Split, facts: Mapping[Path, ImageFacts], changes: list[Change]) -> Split:
    kept: Split = {}
    for name, records in splits.items():
        kept[name] = [record for record in records if not facts[record.path].problem]
        broken = [record for record in records if facts[record.path].problem]
        changes += [Change("image left out", record.image_id, facts[record.path].problem) for record in broken]
    return kept


def _without_copies(splits: Split, facts: Mapping[Path, ImageFacts], changes: list[Change]) -> Split:
    order = sorted(splits, key=lambda name: KEEP_FIRST.index(name) if name in KEEP_FIRST else len(KEEP_FIRST))
    first: dict[bytes, tuple[str, Record]] = {}
    kept: Split = {name: [] for name in splits}
    for name in order:
        for record in sorted(splits[name], key=lambda record: record.image_id):
            split, same = first.setdefault(facts[record.path].digest, (name, record))
            if same is record:
                kept[name].append(record)
                continue
            detail = f"in '{name}'; the same as {same.image_id} in '{split}'"
            if not _equal(record, same):
                detail += ", whose annotation is another one and stays"
            changes.append(Change("duplicate image dropped", record.image_id, detail))
    return kept


def _equal(one: Record, other: Record) -> bool:
    """Whether two records have the same boxes, in any order."""
    pairs = [sorted(zip(map(tuple, r.boxes_xyxy.tolist()), r.box_labels.tolist(), strict=True)) for r in (one, other)]
    return pairs[0] == pairs[1]


def _with_one_name_each(classes: Sequence[str], splits: Split, changes: list[Change]) -> tuple[tuple[str, ...], Split]:
    """The classes under clean names, those that differ in spaces or case alone as one, in the order they had."""
    counts = [0] * len(classes)
    for record in (record for records in splits.values() for record in records):
        for label in record.box_labels.tolist():
            counts[label] += 1
    alike: dict[str, list[int]] = {}
    for label, name in enumerate(classes):
        alike.setdefault("".join(normalize("NFKC", name).casefold().split()), []).append(label)
    names, new_labels = list[str](), np.zeros(len(classes), np.int64)
    for label, members in enumerate(alike.values()):
        most = max(members, key=lambda member: counts[member])
        names.append(" ".join(classes[most].split()))
        new_labels[members] = label
        for member in members:
            if classes[member] != names[-1]:
                changes.append(Change("class renamed", classes[member], f"now {names[-1]!r}"))
    return tuple(names), {
        name: [_relabelled(record, new_labels) for record in records] for name, records in splits.items()
    }


def _relabelled(record: Record, new_labels: np.ndarray) -> Record:
    boxes = record.annotation
    if not isinstance(boxes, Boxes):
        return record
    return replace(
        record,
        annotation=replace(boxes, labels=new_labels[boxes.labels], crowd_labels=new_labels[boxes.crowd_labels]),
    )


def _without_equal_boxes(record: Record, changes: list[Change]) -> Record:
    boxes = record.annotation
    if not isinstance(boxes, Boxes):
        return record
    rows = np.column_stack((boxes.xyxy.astype(np.float64), boxes.labels))
    kept = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    if len(kept) == len(rows):
        return record
    changes.append(Change("equal boxes dropped", record.image_id, f"{len(rows) - len(kept)} of {len(rows)}"))
    return replace(record, annotation=replace(boxes, xyxy=boxes.xyxy[kept], labels=boxes.labels[kept]))


def _stored_well(record: Record, fact: ImageFacts, folder: Path, changes: list[Change]) -> Record:
    """The record of an image that is upright and has the suffix of its content; a new file lies in `folder`."""
    name = PurePosixPath(record.image_id)
    if fact.orientation != 1:
        path = folder / f"{len(os.listdir(folder))}.png"
        values = read_values(record.path)
        values = values if values.dtype == np.uint8 else values.astype(np.uint16)
        path.write_bytes(cv2.imencode(".png", values[..., ::-1] if values.ndim == 3 else values)[1].tobytes())
        changes.append(
            Change("image stored upright", record.image_id, f"EXIF orientation {fact.orientation}, now a PNG")
        )
        return replace(record, path=path, image_id=str(name.with_suffix(".png")))
    usual = usual_suffixes(fact)
    if not usual or name.suffix.lower() in usual:
        return record
    changes.append(Change("suffix changed", record.image_id, f"now {usual[0]}: the content is {fact.format}"))
    return replace(record, image_id=str(name.with_suffix(usual[0])))
