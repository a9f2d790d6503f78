"""What a writer of a format is, and the images that it describes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from lightdet.data.record import Record

Settings = Mapping[str, str | Sequence[str]]  # of a reader, without its root


class Placed(NamedTuple):
    """A record and what its image is called in the new dataset."""

    record: Record
    name: str  # without a folder; no other image has the same one, whatever the case and the suffix
    height: int  # px, as the image is shown
    width: int


Splits = Mapping[str, Sequence[Placed]]


class Writer(Protocol):
    """Writes the files of one format beside images that are already in place."""

    option: str  # data=OPTION reads the format
    crowd: bool  # whether the format has crowd regions
    strips: bool  # whether names of classes lose the blanks around them

    def image(self, split: str, name: str) -> str:
        """Where the image of a split belongs, relative to the dataset's folder."""
        ...

    def write(self, folder: Path, classes: Sequence[str], splits: Splits) -> None:
        """Everything besides the images. Boxes keep every digit of float32."""
        ...

    def settings(self, classes: Sequence[str], splits: Splits) -> Settings:
        """The settings of data.reader, beside root, with which the dataset is read as it was written."""
        ...


def put(path: Path, text: str) -> None:
    """Writes a text file; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def exact(number: float) -> float | int:
    """A number as JSON states it shortest: 3.0 as 3."""
    return int(number) if float(number).is_integer() else float(number)


def xywh(box: Sequence[float]) -> list[float | int]:
    """[x, y, width, height] of a float32 box xyxy; their sums give the corners back."""
    x1, y1, x2, y2 = map(float, box)
    return [exact(x1), exact(y1), exact(x2 - x1), exact(y2 - y1)]
