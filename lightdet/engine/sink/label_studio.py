"""Label Studio's tasks with predictions (https://labelstud.io/guide/predictions): import them, and the boxes are there
to be accepted or mended.

The images are those of a local storage (`LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true`) whose root is the folder that
all of them have in common. The project's labelling configuration has `<RectangleLabels name="label" toName="image">`.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from lightdet.engine.sink.contract import Entry, write_list, written

boxes = True
files = ("predictions.label_studio.json",)


def write(out: Path, entries: Iterable[Entry], classes: Sequence[str]) -> None:
    with written(out / files[0]) as file:
        write_list(file, (json.dumps(_task(entry)) for entry in entries))


def _task(entry: Entry) -> Entry:
    height, width = entry["height"], entry["width"]
    regions = [_region(f"{entry['id']}-{place}", box, height, width) for place, box in enumerate(entry["boxes"])]
    best = max((box["score"] for box in entry["boxes"]), default=0.0)
    prediction = {"model_version": "lightdet", "score": best, "result": regions}
    return {"data": {"image": f"/data/local-files/?d={quote(entry['name'])}"}, "predictions": [prediction]}


def _region(identity: str, box: Entry, height: int, width: int) -> Entry:
    """A box in percent of the image."""
    left, top, right, bottom = box["box_xyxy"]
    value = {
        "x": 100 * left / width,
        "y": 100 * top / height,
        "width": 100 * (right - left) / width,
        "height": 100 * (bottom - top) / height,
        "rotation": 0,
        "rectanglelabels": [box["class"]],
    }
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    kind = {"id": identity, "type": "rectanglelabels", "from_name": "label", "to_name": "image"}
    return {**kind, **size, "value": value, "score": box["score"]}
