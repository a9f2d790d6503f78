"""COCO's list of results (https://cocodataset.org/#format-results): what pycocotools' `loadRes` reads."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from lightdet.engine.sink.contract import Entry, write_list, written

boxes = True
files = ("predictions.coco.json",)


def write(out: Path, entries: Iterable[Entry], classes: Sequence[str]) -> None:
    """bbox = left, top, width, height in original px; category_id = label + 1; image_id and file_name as in
    predictions.json."""
    with written(out / files[0]) as file:
        write_list(file, (json.dumps(result) for entry in entries for result in _results(entry)))


def _results(entry: Entry) -> list[Entry]:
    results = []
    for box in entry["boxes"]:
        left, top, right, bottom = box["box_xyxy"]
        results.append(
            {
                "image_id": entry["id"],
                "file_name": entry["file"],
                "category_id": box["label"] + 1,
                "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
                "score": box["score"],
            }
        )
    return results
