"""Running a finished detector over photos: boxes drawn, results as JSON, and how long each step took."""

import glob
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json, write_text
from lightdet.core.progress import watched
from lightdet.core.types import Detections
from lightdet.data.image import IMAGE_SUFFIXES, read_image
from lightdet.draw.pictures import draw
from lightdet.engine.load import load_detector
from lightdet.metric.frame import check_finite, detections_to_photo
from lightdet.model.decode import best_of_overlapping
from lightdet.model.folded import folded
from lightdet.ops.letterbox import letterbox_image
from lightdet.runs.folder import RunFolder

DEFAULT_THRESHOLD = 0.25  # where a run did not measure its own
DEFAULT_OVERLAP = 0.5  # IoU of two boxes, of any class, that count as one finding
STEPS = {"read": "read", "letterbox": "letterbox", "detect": "network and NMS", "draw": "draw"}
PICTURES = "pictures"  # folder of what is drawn
DRAWN_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})  # others are saved as PNG


class Detects(Protocol):
    """What is needed of a detector here."""

    def detect(self, images: Tensor) -> list[Detections]:
        """(B, 3, H, W) float32 RGB in 0..1 -> B results with boxes in px of `images`."""
        ...


@dataclass(frozen=True, slots=True)
class Photo:
    path: Path
    name: str  # unique, relative to the folder that all photos have in common, "/" separated


@dataclass(slots=True)
class Summary:
    """What happened to the photos, and how fast."""

    out: Path
    threshold: float
    device: str
    overlap: float = DEFAULT_OVERLAP
    found: list[dict[str, Any]] = field(default_factory=list)  # one entry per photo that could be read
    broken: list[str] = field(default_factory=list)  # one line per photo that could not, or that broke the detector
    milliseconds: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})

    def as_json(self) -> dict[str, Any]:
        """The numbers of the whole call; speeds are medians over the photos."""
        return {
            "photos": len(self.found),
            "broken": self.broken,
            "boxes": self.per_class(),
            "threshold": self.threshold,
            "overlap": self.overlap,
            "out": str(self.out),
            "median_ms": {step: round(median(times), 3) for step, times in self.milliseconds.items() if times},
            "device": self.device,
            "torch_threads": torch.get_num_threads(),
            "opencv_threads": cv2.getNumThreads(),
        }

    def per_class(self) -> dict[str, int]:
        """Boxes of each class that was found, most frequent first."""
        return dict(Counter(box["class"] for photo in self.found for box in photo["boxes"]).most_common())

    def as_text(self) -> str:
        """Two or three lines for a person."""
        facts = self.as_json()
        boxes = ", ".join(f"{name} {count}" for name, count in facts["boxes"].items()) or "none"
        lines = [
            f"{len(self.found)} photos, boxes with score >= {self.threshold:.3g}: {boxes}",
            f"written to {self.out}",
        ]
        if facts["median_ms"]:
            times = ", ".join(f"{STEPS[step]} {ms:.1f}" for step, ms in facts["median_ms"].items())
            threads = f"{facts['torch_threads']} torch and {facts['opencv_threads']} OpenCV threads"
            lines.append(f"median ms per photo: {times} ({self.device}, {threads})")
        return "\n".join(lines)


def find_photos(sources: Sequence[str], out: Path) -> list[Photo]:
    """Photos named by files, folders (searched to the bottom) and globs, each once, sorted; those where the pictures
    go, under `out`, are left out.

    Raises LightdetError for a source in which there is no photo.
    """
    paths: dict[Path, Path] = {}
    drawn = out.resolve() / PICTURES
    for source in sources:
        there = _expand(source)
        if not there:
            raise LightdetError(f"{source}: no photo there; give a file, a folder with photos or a glob in quotes")
        found = [path for path in there if not path.resolve().is_relative_to(drawn)]
        if not found:
            raise LightdetError(f"{source}: pictures with boxes go to {out / PICTURES}; give another folder with --out")
        paths.update((path.resolve(), path) for path in found)
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [Photo(paths[whole], whole.relative_to(common).as_posix()) for whole in sorted(paths)]


def _expand(source: str) -> list[Path]:
    path = Path(source)
    if path.is_file():
        return [path]
    candidates = path.rglob("*") if path.is_dir() else map(Path, glob.glob(source, recursive=True))
    return [each for each in candidates if each.suffix.lower() in IMAGE_SUFFIXES and each.is_file()]


def predict_run(
    run: Path,
    photos: Sequence[Photo],
    out: Path,
    threshold: float | None,
    checkpoint: str,
    device: str,
    overlap: float = DEFAULT_OVERLAP,
) -> Summary:
    """`predict` with the detector, the input size, `data.bits` and, unless it is given, the threshold of a run folder.

    BatchNorm is folded, so that scores agree with those of `lightdet evaluate` up to rounding.
    """
    loaded = load_detector(run, checkpoint, device)
    if threshold is None:
        threshold = run_threshold(RunFolder(run).read_results())
    detector = folded(loaded.detector, loaded.image_size)
    bits = OmegaConf.select(loaded.config, "data.bits")
    return predict(detector, loaded.classes, loaded.image_size, photos, out, threshold, device, overlap, bits)


def run_threshold(results: dict[str, Any]) -> float:
    """The score at which the run's F1 was best on its validation data."""
    point = (results.get("metrics") or {}).get("operating_point") or {}
    found = point.get("threshold")
    return DEFAULT_THRESHOLD if found is None else float(found)


def predict(
    detector: Detects,
    classes: Sequence[str],
    image_size: int,
    photos: Sequence[Photo],
    out: Path,
    threshold: float,
    device: str = "cpu",
    overlap: float = DEFAULT_OVERLAP,
    bits: int | None = None,
) -> Summary:
    """Detect in every photo, one at a time, and write under `out`: pictures/, predictions.json, predictions.coco.json.

    Boxes below `threshold` are left out; of two that overlap by more than `overlap` (IoU), the better scored one stays.
    `bits` are those of the camera (`read_image`). A photo that cannot be read is named in `Summary.broken`, and the
    others go on; so is one for which the detector gives NaN.
    """
    out.mkdir(parents=True, exist_ok=True)
    summary = Summary(out, threshold, device, overlap)
    with torch.inference_mode():
        detector.detect(torch.full((1, 3, image_size, image_size), 0.5, device=device))  # the first call is not typical
        for photo in watched(photos, len(photos), "photos"):
            try:
                _predict_one(detector, classes, image_size, photo, bits, summary)
            except LightdetError as error:
                summary.broken.append(" ".join(str(error).split()))
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(classes)]
    write_json(out / "predictions.json", summary.as_json() | {"categories": categories, "images": summary.found})
    write_text(out / "predictions.coco.json", json.dumps(coco_results(summary.found), indent=1) + "\n")
    return summary


def _predict_one(
    detector: Detects, classes: Sequence[str], image_size: int, photo: Photo, bits: int | None, summary: Summary
) -> None:
    times = summary.milliseconds
    with _timed(times["read"], "cpu"):
        pixels = read_image(photo.path, bits)
    with _timed(times["letterbox"], summary.device):
        placed, letterbox = letterbox_image(pixels, image_size)
        images = torch.from_numpy(placed).to(summary.device).permute(2, 0, 1)[None].float() / 255
    with _timed(times["detect"], summary.device):
        found = detector.detect(images)[0]
    found = detections_to_photo(found, letterbox)
    check_finite(found, str(photo.path))
    keep = found.scores >= summary.threshold
    found = Detections(found.boxes_xyxy[keep], found.scores[keep], found.labels[keep])
    found = best_of_overlapping(found, summary.overlap)
    with _timed(times["draw"], "cpu"):
        drawn = draw(pixels, found, None, classes)
    picture = _save(drawn, summary.out / PICTURES / photo.name)
    height, width = pixels.shape[:2]
    summary.found.append(
        {
            "id": len(summary.found) + 1,
            "file": str(photo.path),
            "height": height,
            "width": width,
            "picture": picture.relative_to(summary.out).as_posix(),
            "boxes": _boxes(found, classes),
        }
    )


def _boxes(found: Detections, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Photo px, best first."""
    rows = zip(found.boxes_xyxy.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    return [
        {
            "class": classes[label],
            "label": label,
            "score": round(score, 5),
            "box_xyxy": [round(value, 2) for value in box],
        }
        for box, score, label in rows
    ]


def coco_results(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """COCO's results list: bbox = left, top, width, height in photo px; category_id = label + 1.

    `image_id` is the photo's id in predictions.json, and `file_name` its file.
    """
    return [
        {
            "image_id": photo["id"],
            "file_name": photo["file"],
            "category_id": box["label"] + 1,
            "bbox": [
                *box["box_xyxy"][:2],
                round(box["box_xyxy"][2] - box["box_xyxy"][0], 2),
                round(box["box_xyxy"][3] - box["box_xyxy"][1], 2),
            ],
            "score": box["score"],
        }
        for photo in found
        for box in photo["boxes"]
    ]


@contextmanager
def _timed(times_ms: list[float], device: str) -> Iterator[None]:
    """Append the milliseconds that the block took, waiting for the accelerator's queue to empty."""
    start = perf_counter()
    yield
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    times_ms.append((perf_counter() - start) * 1000)


def _save(drawn: np.ndarray, path: Path) -> Path:
    if path.suffix.lower() not in DRAWN_SUFFIXES:
        path = path.with_name(path.name + ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawn).save(path, quality=95)
    return path
