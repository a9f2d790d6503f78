"""DeepPCB's own layout (Tang et al. 2019, arXiv 1902.06197): printed circuit boards beside their templates."""

from collections.abc import Sequence
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.data.files import DataRoot, read_list, read_text
from lightdet.data.labels import (
    Claim,
    checked_classes,
    class_number,
    make_record,
    parse_number,
    read_each,
    unknown_class,
)
from lightdet.data.record import Record
from lightdet.data.search import HIDDEN_NAMES


class DeepPcb:
    """A list of `image.jpg label.txt` pairs, relative to the list; the image on disk is `image_test.<any suffix>`.

    A label file has a line `x1 y1 x2 y2 class` per defect, in px, class 1 being the first of `classes`; an empty one
    is a board without defects. The last `val_count` pairs are for validation, unless `val_list` exists: then those
    it names. `test_list` makes a split "test" where it exists.
    """

    def __init__(
        self,
        root: str,
        classes: Sequence[str],
        trainval_list: str = "PCBData/trainval.txt",
        val_list: str = "PCBData/val.txt",
        test_list: str = "PCBData/test.txt",
        val_count: int = 100,
        follow_links: bool = False,
    ) -> None:
        self.classes = checked_classes(classes, "data.reader.classes")
        self._root = DataRoot(root, follow_links)
        self._trainval_list = self._root.locate(trainval_list, self._root.path, "data.reader.trainval_list")
        self._val_list = self._root.locate(val_list, self._root.path, "data.reader.val_list")
        self._test_list = self._root.locate(test_list, self._root.path, "data.reader.test_list")
        self._val_count = val_count

    @property
    def doubts(self) -> tuple[str, ...]:
        """What `read` left out."""
        return self._root.left_out.lines()

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every file that is missing, broken or contradictory."""
        self._root.left_out = LeftOut()
        train, val = self._train_and_val()
        lines = {"train": train, "val": val}
        if self._test_list.exists():
            lines["test"] = [(line, self._test_list) for line in self._pairs(self._test_list)]
        return read_each(lines, self._read_one)

    def _train_and_val(self) -> tuple[list[tuple[str, Path]], list[tuple[str, Path]]]:
        lines = self._pairs(self._trainval_list)
        if self._val_list.exists():
            val = self._pairs(self._val_list)
            held_back = {tuple(line.split()) for line in val}
            train = [line for line in lines if tuple(line.split()) not in held_back]
        else:
            if not 1 <= self._val_count < len(lines):
                raise LightdetError(
                    f"{self._trainval_list}: {len(lines)} pairs, {self._val_count} of them for validation; "
                    "set data.reader.val_count so that one at least is left on either side"
                )
            train, val = lines[: -self._val_count], lines[-self._val_count :]
        for name, some in (("train", train), ("val", val)):
            if not some:
                raise LightdetError(f"{self._val_list}: no pairs are left for the {name} split; correct the lists")
        return [(line, self._trainval_list) for line in train], [(line, self._trainval_list) for line in val]

    def _pairs(self, path: Path) -> list[str]:
        """The lines of a list without those that name what no person made."""

        def is_there(line: str) -> bool:
            return len(line.split()) == 2 and self._root.find(line.split()[1], path.parent, path).exists()

        kept = []
        for line in read_list(path, is_there, self._root.left_out):
            if self._root.hidden(line, path.parent):
                self._root.left_out.add(HIDDEN_NAMES, f"{path}: {line}")
            else:
                kept.append(line)
        return kept

    def _read_one(self, named: tuple[str, Path]) -> Record:
        line, said_by = named
        words = line.split()
        if len(words) != 2:
            raise LightdetError(f"{said_by}: {line[:80]!r} is not a pair `image.jpg label.txt`; correct the line")
        listed = Path(words[0])
        stem = str(listed.with_name(f"{listed.stem}_test"))
        image = self._root.image(stem, said_by.parent, said_by, prefer=listed.suffix)
        label_file = self._root.file(words[1], said_by.parent, said_by)
        rows = [(f"line {number}", row) for number, row in enumerate(read_text(label_file).splitlines(), start=1)]
        claims = [self._claim(row, place, label_file) for place, row in rows if row.strip()]
        return make_record(self._root, image, claims, label_file, self._root.header(image)[:2])

    def _claim(self, row: str, place: str, path: Path) -> Claim:
        words = row.replace(",", " ").split()
        if len(words) != 5:
            raise LightdetError(
                f"{path}: {place}: {len(words)} values where `x1 y1 x2 y2 class` is expected; correct it"
            )
        number = class_number(words[4])
        if number is None or not 1 <= number <= len(self.classes):
            numbered = [f"{number} ({name})" for number, name in enumerate(self.classes, start=1)]
            raise unknown_class(words[4], numbered, place, path)
        x1, y1, x2, y2 = (parse_number(word, place, path) for word in words[:4])
        return Claim(place, number - 1, (x1, y1, x2, y2))
