"""A table of labels beside the images: a line for each image, in CSV or in columns with blanks between them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lightdet.core.annotation import ClassLabel, LabelSet
from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.data.described import SPLIT_NAMES, classes_of, count_images_beside, found_line
from lightdet.data.files import DataRoot
from lightdet.data.image import IMAGE_SUFFIXES
from lightdet.data.label_values import LabelValues, parts_of
from lightdet.data.labels import read_each
from lightdet.data.record import Record
from lightdet.data.split import split
from lightdet.data.table_file import Row, read_table

MOST_FOUND = 100  # classes that are taken from the cells unasked; more are a column of numbers, or of names of images
Column = int | str  # its number, from 1, or its name in the first line


class CsvTable:
    """The class of an image is the cell `label` of its line in `table`, or what `values` makes of that cell. Several
    classes have "|" between them: scratch|dent.

    The cell `image` is a path from the folder `images`; without a suffix, it is that of the only image of this name.
    Columns are given by number, from 1, or by name. `header`: whether the first line has names; "auto": where a column
    is given by name, or where its image cell names none; its label must then be that of no other line. `separator`: one
    character, a blank for runs of blanks; None: told from the lines. `values`: {cell: class}, numbers equal as numbers;
    a class of None leaves the images out. `classes`: names in the order of their labels; None: those of `values`, in
    their order, or the cells, sorted.
    `split`: a column with train, val and test; None, or without val: split by `val_share` and `seed`. `domain`: a
    column with where an image comes from. Lines without a label are left out. Paths are relative to `root`.
    """

    def __init__(
        self,
        root: str,
        table: str = "labels.csv",
        image: Column = 1,
        label: Column = 2,
        split: Column | None = None,
        domain: Column | None = None,
        images: str = ".",
        separator: str | None = None,
        header: bool | str = "auto",
        values: Mapping[object, str | None] | None = None,
        classes: Sequence[str] | None = None,
        val_share: float = 0.2,
        seed: int = 0,
        follow_links: bool = False,
    ) -> None:
        self._root = DataRoot(root, follow_links)
        self._table = self._root.file(table, self._root.path, "data.reader.table")
        self._images = self._root.locate(images, self._root.path, "data.reader.images")
        self._val_share, self._seed = val_share, seed
        rows = read_table(self._table, separator)
        self._first = rows[0]
        wanted = {"image": image, "label": label, "split": split, "domain": domain}
        named = [key for key, column in wanted.items() if isinstance(column, str)]
        has_header = self._has_header(header, image, named)
        self._columns = {
            key: self._column(key, column, has_header) for key, column in wanted.items() if column is not None
        }
        self._rows = rows[1:] if has_header else rows
        self._values = LabelValues(values)
        found = Counter(part for row in self._rows for part in parts_of(self._cell(row, "label")) if part)
        if values is None and classes is None and len(found) > MOST_FOUND:
            raise LightdetError(
                f"{self._table}: {len(found):,} different values in the column of the labels; is it data.reader.label="
                f"{label}? name the classes with data.reader.classes or data.reader.values"
            )
        self.classes = classes_of(self._values.classes if classes is None else classes, found, self._table)
        self._values.check(self.classes)
        if has_header and header == "auto" and not named:
            self._doubt_header(found)
        self._told = found_line(self.classes if values is not None else classes, found)
        if self._told and has_header:
            names = ", ".join(self._first.cells)[:80]
            self._told += (f"line {self._first.line} of {self._table.name} is read as names of columns: {names}",)
        self._lines: dict[Path, int] = {}  # by image, of the lines that were read
        self._left_out_images: set[Path] = set()

    @property
    def doubts(self) -> tuple[str, ...]:
        """The classes where nobody named them, and after `read` what it left out."""
        return (*self._told, *self._root.left_out.lines())

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every line that cannot be used, and for a table without any."""
        self._root.left_out, self._lines, self._left_out_images = LeftOut(), {}, set[Path]()
        lines: dict[str, list[Row]] = {}
        for row in self._rows:
            if not self._is_left_out(row):
                lines.setdefault(SPLIT_NAMES.get(self._cell(row, "split").lower(), "train"), []).append(row)
        if not lines.get("train"):
            where = "says train in the column data.reader.split" if "split" in self._columns else "has a label"
            raise LightdetError(f"{self._table}: no line {where}; there is nothing to train on")
        records = read_each(lines, self._read_one)
        used = {record.path for some in records.values() for record in some}
        count_images_beside(self._root, used, self._left_out_images)
        if "val" not in records:
            train, val = split(records["train"], self._val_share, self._seed, len(self.classes))
            records = {**records, "train": train, "val": val}
        return records

    def _is_left_out(self, row: Row) -> bool:
        label, place = self._cell(row, "label"), f"{self._table}: line {row.line}"
        if len(row.cells) != len(self._first.cells):
            return False  # told when it is read
        if not label and not self._values.known(label):
            self._root.left_out.add("lines without a label", place)
        elif self._values.leave_out(label):
            self._root.left_out.add("lines whose label data.reader.values leaves out", f"{place}: {label[:40]}")
        else:
            return False
        with suppress(LightdetError):  # it does not matter where it is
            self._left_out_images.add(self._image(self._cell(row, "image"), place))
        return True

    def _read_one(self, row: Row) -> Record:
        place = f"{self._table}: line {row.line}"
        if len(row.cells) != len(self._first.cells):
            raise LightdetError(
                f"{place}: {len(row.cells)} cells, and line {self._first.line} has {len(self._first.cells)}; correct it"
            )
        of_split = self._cell(row, "split")
        if "split" in self._columns and of_split.lower() not in SPLIT_NAMES:
            raise LightdetError(f"{place}: split {of_split[:40]!r}: train, val or test is expected")
        image = self._image(self._cell(row, "image"), place)
        if image in self._lines:
            raise LightdetError(
                f"{place}: {image.name} is named in line {self._lines[image]} already; leave one of them"
            )
        self._lines[image] = row.line
        labels = self._values.labels(self._cell(row, "label"), self.classes, place)
        self._root.header(image)
        annotation = ClassLabel(labels[0]) if len(labels) == 1 else LabelSet(labels)
        return Record(self._root.image_id(image), image, annotation, domain=self._cell(row, "domain"))

    def _image(self, name: str, place: str) -> Path:
        if not name:
            raise LightdetError(f"{place}: no image is named; name it or remove the line")
        path = self._root.find(name, self._images, place)
        if path.suffix.lower() not in IMAGE_SUFFIXES and not path.is_file() and self._root.images_named(path):
            return self._root.image(name, self._images, place)
        if not path.is_file():
            raise LightdetError(
                f"{place}: no such image: {path}; correct the line, or set data.reader.images to the folder that the "
                "names start from"
            )
        return path

    def _cell(self, row: Row, key: str) -> str:
        """ "" where the line is too short, or there is no such column."""
        column = self._columns.get(key, len(row.cells))
        return row.cells[column] if column < len(row.cells) else ""

    def _has_header(self, header: bool | str, image: Column, named: Sequence[str]) -> bool:
        if not isinstance(header, bool) and header != "auto":
            raise LightdetError(f"data.reader.header={header}: one of auto, true, false")
        if isinstance(header, bool):
            if named and not header:
                raise LightdetError(
                    f"data.reader.{named[0]}: header=false has no names of columns; give a number, from 1"
                )
            return header
        if named:
            return True
        number = self._column("image", image, False)
        cell = self._first.cells[number]
        path = self._root.locate(cell, self._images, f"{self._table}: line {self._first.line}")
        is_image = path.suffix.lower() in IMAGE_SUFFIXES or path.is_file()
        return not (is_image or (path != self._images and self._root.images_named(path)))

    def _doubt_header(self, found: Mapping[str, int]) -> None:
        """Raises LightdetError where the first line has the label of others: then its image is misspelt."""
        image, label = self._cell(self._first, "image"), self._cell(self._first, "label")
        if label in found or (label in self.classes and self._values.classes is None) or self._values.known(label):
            raise LightdetError(
                f"{self._table}: line {self._first.line}: {image[:40]!r} is no image, and {label[:40]!r} is a label; "
                "correct the name, or set data.reader.header=true if these are names of columns"
            )

    def _column(self, key: str, column: Column, has_header: bool) -> int:
        """Where a column is in a row, from 0."""
        names, setting = self._first.cells, f"data.reader.{key}={column}"
        if isinstance(column, int) and not isinstance(column, bool):
            if not 1 <= column <= len(names):
                raise LightdetError(f"{setting}: {self._table} has {len(names)} columns, counted from 1")
            return column - 1
        if not isinstance(column, str) or not has_header or names.count(column) != 1:
            times = "no" if column not in names else "more than one"
            raise LightdetError(
                f"{setting}: {times} column of this name in line {self._first.line} of {self._table}; it has "
                f"{', '.join(names)[:200]}"
            )
        return names.index(column)
