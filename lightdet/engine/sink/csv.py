"""A table: a line for each box, or for the class of each image; an image without a box has a line without one.

Columns that an entry lacks are empty. Of a classifier, `data=csv_table data.reader.image=file data.reader.label=class`
reads it.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from lightdet.engine.sink.contract import Entry, written

boxes = False
files = ("predictions.csv",)
OF_IMAGE = ("id", "file", "frame", "seconds", "time", "height", "width", "verdict")
OF_PREDICTION = ("class", "label", "score", "left", "top", "right", "bottom")  # px of the original image


def write(out: Path, entries: Iterable[Entry], classes: Sequence[str]) -> None:
    with written(out / files[0]) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow((*OF_IMAGE, *OF_PREDICTION))
        for entry in entries:
            image = [entry.get(name, "") for name in OF_IMAGE]
            table.writerows([*image, *prediction] for prediction in _predictions(entry))


def _predictions(entry: Entry) -> Sequence[Sequence[object]]:
    if "boxes" in entry:
        found = [(box["class"], box["label"], box["score"], *box["box_xyxy"]) for box in entry["boxes"]]
        return found or [("",) * len(OF_PREDICTION)]
    name, label = entry.get("class"), entry.get("label")
    if "classes" in entry:  # several for an image, as the reader takes them
        name, label = "|".join(entry["classes"]), "|".join(map(str, entry["labels"]))
    return [("" if name is None else name, "" if label is None else label, entry.get("probability", ""), *("",) * 4)]
