"""`lightdet predict`: results of a folder of images as pictures and JSON, and how long each step took."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import cv2
import torch

from lightdet.core.errors import LightdetError, one_line
from lightdet.core.files import write_json, write_text
from lightdet.core.outside import outside
from lightdet.core.progress import watched
from lightdet.core.shown import counted, shown
from lightdet.engine.picture_files import MADE_BY, check_free, picture_names, save_picture
from lightdet.engine.predictor import Predictor, Stopwatch
from lightdet.engine.verdict import Lot
from lightdet.runtime.found import PICTURES, REPORTS, Found
from lightdet.runtime.sources import Original

STEPS = {"read": "read", "letterbox": "letterbox", "detect": "model", "draw": "draw"}
WHOLE, LINES = REPORTS  # predictions.json at the end, predictions.jsonl as it goes


@dataclass(frozen=True, slots=True)
class ImageFile:
    path: Path
    name: str  # unique, relative to the folder that all images have in common, "/" separated
    picture: str  # likewise, relative to the folder of pictures, and unique without regard to case


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image without a prediction, and why."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"skipped {self.file}: {self.reason}"


@dataclass(slots=True)
class Summary:
    """The predictions for all images, what was not predicted on, and the speed."""

    out: Path
    predictor: Predictor
    found: Found = field(default_factory=Found)  # of which `left_out` counts what is not taken
    entries: list[dict[str, Any]] = field(default_factory=list)  # one per image with a prediction
    names: Counter[str] = field(default_factory=Counter)  # class -> how often it is predicted
    skipped: list[Skipped] = field(default_factory=list)  # images that are not read, or that break the model
    undrawn: list[str] = field(default_factory=list)  # images with a prediction and without a picture, a line each
    ended: str = ""  # why it ended before its last image
    milliseconds: dict[str, list[float]] = field(default_factory=dict)  # step -> one value per image
    lot: Lot | None = None  # verdicts, where they are asked for

    @property
    def whole(self) -> bool:
        """Whether every image has a prediction and a picture."""
        return self.found.whole and not (self.skipped or self.undrawn or self.ended)

    def as_json(self) -> dict[str, Any]:
        """The numbers of the whole call; speeds are medians over the images."""
        return {
            "made_by": MADE_BY,
            "complete": not self.ended,
            "photos": len(self.entries),
            "skipped": [asdict(each) for each in self.skipped],
            "left_out": list(self.found.left_out.lines()),
            self.predictor.result_type.unit: dict(self.names.most_common()),
            **({} if self.lot is None else {"lot": self.lot.as_json()}),
            "tiles": None if self.predictor.tiles is None else asdict(self.predictor.tiles),
            "threshold": self.predictor.threshold,
            "overlap": self.predictor.overlap,
            "out": str(self.out),
            "median_ms": {step: round(median(self.milliseconds[step]), 3) for step in STEPS if self._timed(step)},
            "device": self.predictor.device,
            "torch_threads": torch.get_num_threads(),
            "opencv_threads": cv2.getNumThreads(),
        }

    def as_text(self) -> str:
        """Two to four lines of text."""
        facts = self.as_json()
        counts = ", ".join(f"{shown(name)} {count}" for name, count in self.names.most_common()) or "none"
        unit = self.predictor.result_type.unit
        reached = f" with score >= {self.predictor.threshold:.3g}" if self.predictor.result_type.thresholded else ""
        lines = [
            f"{counted(len(self.entries), 'image')}, {unit}{reached}: {counts}",
            f"written to {shown(self.out)}",
        ]
        if self.lot is not None:
            lines.insert(1, shown(self.lot.as_text()))
        if facts["median_ms"]:
            times = ", ".join(f"{STEPS[step]} {ms:.1f}" for step, ms in facts["median_ms"].items())
            threads = f"{facts['torch_threads']} torch and {facts['opencv_threads']} OpenCV threads"
            lines.append(f"median ms per image: {times} ({self.predictor.device}, {threads})")
        return "\n".join(lines)

    def troubles(self) -> list[str]:
        """A line for each image without a prediction or picture, for each kind of what is left out, and for an end
        before the last image."""
        lines = [*map(str, self.skipped), *self.undrawn, *self.found.left_out.lines()]
        return [*lines, *([self.ended] if self.ended else [])]

    def _timed(self, step: str) -> bool:
        return bool(self.milliseconds.get(step))


def find_images(
    sources: Sequence[str], out: Path, made_by: str = MADE_BY, reports: Sequence[str] = REPORTS
) -> tuple[list[ImageFile], Found]:
    """Images named by files, folders (searched recursively) and globs, each once, sorted; and what is not taken.

    Pictures that predictions drew are left out. Raises LightdetError for a source in which there is no image, and
    where writing pictures and `reports` under `out` would overwrite what the command `made_by` did not make.
    """
    found = Found()
    paths: dict[Path, Path] = {}
    drawn = Path(os.path.realpath(out / PICTURES))
    for source in sources:
        named = {Path(os.path.realpath(path)): path for path in found.search(source)}
        kept = {whole: path for whole, path in named.items() if not whole.is_relative_to(drawn)}
        if not kept:
            raise LightdetError(f"{source}: pictures with boxes go to {out / PICTURES}; give another folder with --out")
        paths |= kept
    common = Path(os.path.commonpath([path.parent for path in paths]))
    names = {whole: whole.relative_to(common).as_posix() for whole in sorted(paths)}
    pictures = picture_names(list(names.values()))
    check_free(out, pictures.values(), reports, made_by, reports)
    return [ImageFile(paths[whole], name, pictures[name]) for whole, name in names.items()], found


def predict_files(
    predictor: Predictor, files: Sequence[ImageFile], out: Path, found: Found | None = None, verdict: bool = False
) -> Summary:
    """Predict on every image, one at a time, and write under `out`: predictions.jsonl, a line for each image as soon as
    it is done, and pictures/; at the end predictions.json and the task's further files, such as predictions.coco.json.

    An image that cannot be read, or for which the model returns NaN, is listed in `Summary.skipped`; the others are
    predicted, and with `verdict` each passes or fails. `found` has what was not taken. Where nothing more can be
    written, `Summary.ended` says so. Whatever ends it, an interruption included, what was predicted until then stays.
    """
    further = predictor.result_type.further_files([])
    check_free(out, [], [*REPORTS, *further])
    out.mkdir(parents=True, exist_ok=True)
    lot = Lot(f"threshold {predictor.threshold:.4g}, {predictor.threshold_from}") if verdict else None
    summary = Summary(out, predictor, found or Found(), lot=lot)
    watch = Stopwatch(predictor.device)
    summary.milliseconds = watch.milliseconds
    predictor.warm_up()
    try:
        with open(out / LINES, "w", encoding="utf-8") as lines:
            for file in watched(files, len(files), "images"):
                _write_line(lines, _predict_one(predictor, file, watch, summary))
        _write_whole(summary)
    except OSError as error:
        _end(summary, len(files), error)
    except BaseException as error:
        _end(summary, len(files), error)
        raise
    return summary


def _end(summary: Summary, images: int, error: BaseException) -> None:
    """Notes an end before the last image, and writes what is there if it can be written."""
    done = len(summary.entries) + len(summary.skipped)
    reason = outside(error) or one_line(error)
    summary.ended = f"ended after {done} of {images} images: {reason}; {summary.out / LINES} has their predictions"
    with suppress(OSError):
        _write_whole(summary)


def _write_line(lines: TextIO, entry: dict[str, Any]) -> None:
    lines.write(json.dumps({"made_by": MADE_BY, **entry}) + "\n")
    lines.flush()  # it stays, however this process ends


def _write_whole(summary: Summary) -> None:
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(summary.predictor.classes)]
    write_json(summary.out / WHOLE, summary.as_json() | {"categories": categories, "images": summary.entries})
    for name, value in summary.predictor.result_type.further_files(summary.entries).items():
        write_text(summary.out / name, json.dumps(value, indent=1) + "\n")


def _predict_one(predictor: Predictor, file: ImageFile, watch: Stopwatch, summary: Summary) -> dict[str, Any]:
    """The entry of an image, or of one that is skipped its name and the reason."""
    try:
        result = predictor.predict(Original(file.path, predictor.bits), watch, predictor.tiles)
    except LightdetError as error:
        reason = " ".join(str(error).removeprefix(f"{file.path}: ").split())
        summary.skipped.append(Skipped(str(file.path), reason))
        return asdict(summary.skipped[-1])
    facts = result.to_dict() | (summary.lot.judge(result) if summary.lot is not None else {})
    size = {key: facts.pop(key) for key in ("file", "height", "width")}
    place = {"picture": f"{PICTURES}/{file.picture}"}
    try:
        with watch.step("draw"):
            drawn = result.plot()
        save_picture(drawn, summary.out / PICTURES / file.picture)
    except Exception as error:  # a prediction does not depend on its picture
        place = {"picture": ""}
        summary.undrawn.append(f"no picture of {file.path}: {outside(error) or one_line(error)}")
    summary.entries.append({"id": len(summary.entries) + 1, **size, **place, **facts})
    summary.names.update(result.names)
    return summary.entries[-1]
