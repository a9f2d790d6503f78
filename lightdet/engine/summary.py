"""What a call of `lightdet predict` did: counts, speed, and the files that tell it. Nothing here grows with the number
of images: what was predicted is read back from predictions.jsonl, line by line."""

import json
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from lightdet.core.files import plain
from lightdet.core.shown import counted, shown
from lightdet.engine.image_files import Skipped
from lightdet.engine.picture_files import MADE_BY
from lightdet.engine.predictor import Predictor, Stopwatch
from lightdet.engine.sink.contract import Entry, write_list, written
from lightdet.engine.verdict import Lot
from lightdet.runs.views import Views
from lightdet.runtime.found import REPORTS, Found
from lightdet.runtime.source import Source

STEPS = {"read": "read", "letterbox": "letterbox", "detect": "model", "draw": "draw"}
WHOLE, LINES = REPORTS  # predictions.json at the end, predictions.jsonl as it goes
MOST_TOLD = 100  # lines of one kind that are printed; the others are counted


@dataclass(slots=True)
class Summary:
    """The counts of one call."""

    out: Path | None  # None: entries went to standard output alone
    predictor: Predictor
    source: Source
    found: Found  # of which `left_out` counts what is not taken
    watch: Stopwatch
    images: int = 0  # with a prediction
    missing: int = 0  # without one: not read, or the model broke
    names: Counter[str] = field(default_factory=Counter)  # class -> how often it is predicted
    undrawn: int = 0  # with a prediction and without the picture that was wanted
    first_undrawn: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_TOLD))  # a line each, the last ones
    unwritten: list[str] = field(default_factory=list)  # formats, a line each
    at_a_time: int = 1  # images that were worked on at a time
    ended: str = ""  # why it ended before its last image
    lot: Lot | None = None  # verdicts, where they are asked for

    @property
    def entries(self) -> list[Entry]:
        """Of the images with a prediction, as predictions.json has them; all in memory."""
        return list(self.each_entry())

    @property
    def skipped(self) -> list[Skipped]:
        """The images without a prediction; all in memory."""
        return list(self._each_skipped())

    @property
    def whole(self) -> bool:
        """Whether every image has a prediction and what was to be written of it."""
        lacks = self.missing or self.undrawn or self.unwritten or self.ended or self.source.missed()
        return self.found.whole and not lacks

    def each_entry(self) -> Iterator[Entry]:
        """The entries of predictions.json, read from predictions.jsonl."""
        return (line for line in self._lines() if "id" in line)

    def facts(self) -> dict[str, Any]:
        """The numbers of the whole call; speeds are medians over the last images."""
        runtime, threads = getattr(self.predictor.model, "runtime", None) or ("torch", torch.get_num_threads())
        return {
            "made_by": MADE_BY,
            "complete": not self.ended,
            "photos": self.images,
            "left_out": list(self.found.left_out.lines()),
            self.predictor.result_type.unit: dict(self.names.most_common()),
            **({} if self.lot is None else {"lot": self.lot.as_json()}),
            "views": Views(self.predictor.tiles, self.predictor.flips).as_json(),
            "threshold": self.predictor.threshold,
            "overlap": self.predictor.overlap,
            "out": None if self.out is None else str(self.out),
            **({"source": counts} if (counts := self.source.counts()) else {}),
            "median_ms": {step: round(median(ms), 3) for step in STEPS if (ms := self.watch.milliseconds.get(step))},
            "device": self.predictor.device,
            "images_at_a_time": self.at_a_time,
            "runtime": runtime,
            "runtime_threads": threads,
        }

    def as_json(self) -> dict[str, Any]:
        """`facts`, and every image that was skipped."""
        return {**self.facts(), "skipped": [asdict(each) for each in self._each_skipped()]}

    def as_text(self) -> str:
        """Two to five lines of text."""
        facts = self.facts()
        counts = ", ".join(f"{shown(name)} {count}" for name, count in self.names.most_common()) or "none"
        unit = self.predictor.result_type.unit
        reached = f" with score >= {self.predictor.threshold:.3g}" if self.predictor.result_type.thresholded else ""
        lines = [f"{counted(self.images, 'image')}, {unit}{reached}: {counts}"]
        if self.lot is not None:
            lines.append(shown(self.lot.as_text()))
        if "source" in facts:
            lines.append(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in facts["source"].items()))
        if self.out is not None:
            lines.append(f"written to {shown(self.out)}")
        if facts["median_ms"]:
            times = ", ".join(f"{STEPS[step]} {ms:.1f}" for step, ms in facts["median_ms"].items())
            threads = "" if facts["runtime_threads"] is None else f" with {counted(facts['runtime_threads'], 'thread')}"
            how = f"{facts['runtime']}{threads}, {counted(self.at_a_time, 'image')} at a time"
            lines.append(f"median ms per image: {times} ({self.predictor.device}, {how})")
        return "\n".join(lines)

    def troubles(self) -> list[str]:
        """A line for each of the first images without a prediction, and the last ones without a picture, for each kind
        of what is left out or missed, and for an end before the last image."""
        lines = [*map(str, islice(self._each_skipped(), MOST_TOLD))]
        if self.missing > len(lines):
            lines.append(f"{counted(self.missing - len(lines), 'more image')} without a prediction")
        lines += self.first_undrawn
        if self.undrawn > len(self.first_undrawn):
            lines.append(f"{counted(self.undrawn - len(self.first_undrawn), 'more image')} without a picture")
        lines += [*self.unwritten, *self.source.missed(), *self.found.left_out.lines()]
        return [*lines, *([self.ended] if self.ended else [])]

    def write_whole(self, out: Path) -> None:
        """predictions.json, written as one."""
        classes = enumerate(self.predictor.classes)
        categories = [{"id": label + 1, "name": name} for label, name in classes]
        facts = json.dumps(plain({**self.facts(), "categories": categories}, numbers=False), indent=1, allow_nan=False)
        with written(out / WHOLE) as file:
            skipped = (json.dumps(asdict(each)) for each in self._each_skipped())
            write_list(file, skipped, facts[: -len("\n}")] + ',\n "skipped": ', ",")
            write_list(file, map(json.dumps, self.each_entry()), ' "images": ', "\n}")

    def _each_skipped(self) -> Iterator[Skipped]:
        return (Skipped(line["file"], line["reason"]) for line in self._lines() if "id" not in line)

    def _lines(self) -> Iterator[Entry]:
        """Those of predictions.jsonl without the name of this command; a half line at its end, of a full disk or a
        process that was killed, is left out."""
        if self.out is None:
            return
        with open(self.out / LINES, encoding="utf-8") as file:
            for text in file:
                if text.endswith("\n"):
                    line = json.loads(text)
                    del line["made_by"]
                    yield line
