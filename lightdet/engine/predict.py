"""`lightdet predict`: results of a folder of images as pictures and JSON, and how long each step took."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import torch
from PIL import Image

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json, write_text
from lightdet.core.progress import watched
from lightdet.engine.predictor import Predictor, Stopwatch
from lightdet.engine.sources import Original, image_files

STEPS = {"read": "read", "letterbox": "letterbox", "detect": "network and NMS", "draw": "draw"}
PICTURES = "pictures"  # folder of what is drawn
DRAWN_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})  # others are saved as PNG


@dataclass(frozen=True, slots=True)
class ImageFile:
    path: Path
    name: str  # unique, relative to the folder that all images have in common, "/" separated


@dataclass(slots=True)
class Summary:
    """The predictions for all images, and the speed."""

    out: Path
    predictor: Predictor
    entries: list[dict[str, Any]] = field(default_factory=list)  # one per image that could be read
    names: Counter[str] = field(default_factory=Counter)  # class -> how often it is predicted
    broken: list[str] = field(default_factory=list)  # one line per image that cannot be read or breaks the model
    milliseconds: dict[str, list[float]] = field(default_factory=dict)  # step -> one value per image

    def as_json(self) -> dict[str, Any]:
        """The numbers of the whole call; speeds are medians over the images."""
        return {
            "photos": len(self.entries),
            "broken": self.broken,
            self.predictor.result_type.unit: dict(self.names.most_common()),
            "threshold": self.predictor.threshold,
            "overlap": self.predictor.overlap,
            "out": str(self.out),
            "median_ms": {step: round(median(self.milliseconds[step]), 3) for step in STEPS if self._timed(step)},
            "device": self.predictor.device,
            "torch_threads": torch.get_num_threads(),
            "opencv_threads": cv2.getNumThreads(),
        }

    def as_text(self) -> str:
        """Two or three lines of text."""
        facts = self.as_json()
        counts = ", ".join(f"{name} {count}" for name, count in self.names.most_common()) or "none"
        unit, threshold = self.predictor.result_type.unit, self.predictor.threshold
        lines = [
            f"{len(self.entries)} images, {unit} with score >= {threshold:.3g}: {counts}",
            f"written to {self.out}",
        ]
        if facts["median_ms"]:
            times = ", ".join(f"{STEPS[step]} {ms:.1f}" for step, ms in facts["median_ms"].items())
            threads = f"{facts['torch_threads']} torch and {facts['opencv_threads']} OpenCV threads"
            lines.append(f"median ms per image: {times} ({self.predictor.device}, {threads})")
        return "\n".join(lines)

    def _timed(self, step: str) -> bool:
        return bool(self.milliseconds.get(step))


def find_images(sources: Sequence[str], out: Path) -> list[ImageFile]:
    """Images named by files, folders (searched recursively) and globs, each once, sorted; those where the pictures
    go, under `out`, are left out.

    Raises LightdetError for a source in which there is no image.
    """
    paths: dict[Path, Path] = {}
    drawn = out.resolve() / PICTURES
    for source in sources:
        kept = [path for path in image_files(source) if not path.resolve().is_relative_to(drawn)]
        if not kept:
            raise LightdetError(f"{source}: pictures with boxes go to {out / PICTURES}; give another folder with --out")
        paths.update((path.resolve(), path) for path in kept)
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [ImageFile(paths[whole], whole.relative_to(common).as_posix()) for whole in sorted(paths)]


def predict_files(predictor: Predictor, files: Sequence[ImageFile], out: Path) -> Summary:
    """Predict on every image, one at a time, and write under `out`: pictures/, predictions.json and the task's further
    files, such as predictions.coco.json.

    An image that cannot be read, or for which the model returns NaN, is listed in `Summary.broken`; the others are
    predicted.
    """
    out.mkdir(parents=True, exist_ok=True)
    summary = Summary(out, predictor)
    watch = Stopwatch(predictor.device)
    summary.milliseconds = watch.milliseconds
    predictor.warm_up()
    for file in watched(files, len(files), "images"):
        try:
            _predict_one(predictor, file, watch, summary)
        except LightdetError as error:
            summary.broken.append(" ".join(str(error).split()))
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(predictor.classes)]
    write_json(out / "predictions.json", summary.as_json() | {"categories": categories, "images": summary.entries})
    for name, value in predictor.result_type.further_files(summary.entries).items():
        write_text(out / name, json.dumps(value, indent=1) + "\n")
    return summary


def _predict_one(predictor: Predictor, file: ImageFile, watch: Stopwatch, summary: Summary) -> None:
    result = predictor.predict(Original(file.path, predictor.bits), watch)
    with watch.step("draw"):
        drawn = result.plot()
    picture = _save(drawn, summary.out / PICTURES / file.name)
    facts = result.to_dict()
    size = {key: facts.pop(key) for key in ("file", "height", "width")}
    place = {"picture": picture.relative_to(summary.out).as_posix()}
    summary.entries.append({"id": len(summary.entries) + 1, **size, **place, **facts})
    summary.names.update(result.names)


def _save(drawn: Image.Image, path: Path) -> Path:
    if path.suffix.lower() not in DRAWN_SUFFIXES:
        path = path.with_name(path.name + ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.save(path, quality=95)
    return path
