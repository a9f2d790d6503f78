"""Is a row better than the baseline, or is it noise? Paired bootstrap over the validation images, and over seeds.

Seeds are blocks: seed s of a row is compared with seed s of the baseline, on the same images, in every resample on the
same draw of them. With several seeds a second interval resamples the seeds too (`metric/paired.py` says how). With
several rows, verdicts are held against Holm's p values. No torch here.
"""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lightdet.config.tree import digest
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.metric.bootstrap import MEANS, draw, mean_precisions
from lightdet.metric.detections_file import FILE_NAME, KeptDetections, read_detections
from lightdet.metric.match_record import match_records
from lightdet.metric.paired import holm
from lightdet.report.difference import Difference, Gap, Measured, judged
from lightdet.report.rows import LoadedJob, Row
from lightdet.runs.folder import RunFolder

NO_BOXES = "no per-image detections: evaluate the run again"
AGREES = 0.0025  # by which the mAP of the kept boxes may differ from the run's own: older files rounded them


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row against the baseline: its differences by the name of the mean, or the reason why there are none."""

    reason: str = ""
    seeds: tuple[str, ...] = ()
    images: int = 0
    differences: dict[str, Difference] = field(default_factory=dict)
    runs: tuple[str, ...] = ()  # of the row, one per seed


class Comparer:
    """Compares rows with one baseline; each run is matched and resampled once, while there is processor time left."""

    def __init__(self, baseline: Row, resamples: int = 1000, seconds: float = 20.0) -> None:
        self.baseline = baseline
        self.resamples = resamples
        self.seconds = seconds
        self.spent = 0.0
        self._runs: dict[str, Measured | str] = {}
        self._draws: dict[str, np.ndarray] = {}

    def compare_all(self, rows: Iterable[Row]) -> dict[int, Comparison]:
        """All rows by number, with p values adjusted for their number."""
        return adjusted({row.number: self.compare(row) for row in rows})

    def compare(self, row: Row) -> Comparison:
        """The row's finished seeds against the same seeds of the baseline."""
        if row is self.baseline:
            return Comparison("baseline")
        if not row.finished or not self.baseline.finished:
            return Comparison("not finished" if not row.finished else "the baseline is not finished")
        pairs = pairs_of(row, self.baseline)
        if not pairs:
            return Comparison("no seed in common with the baseline")
        if all(job.run == other.run for job, other in pairs):
            return Comparison("the baseline's own training")
        gaps = []
        for job, other in pairs:
            gap = self.gap(job, other)
            if isinstance(gap, str):
                return Comparison(gap if len(pairs) == 1 else f"seed {job.seed}: {gap}")
            gaps.append(gap)
        runs = tuple(job.run for job, _ in pairs)
        seeds = tuple(job.seed for job, _ in pairs)
        return Comparison("", seeds, gaps[0].images, judged([gaps], [1.0]), runs)

    def gap(self, job: LoadedJob, other: LoadedJob) -> Gap | str:
        """How far the first run is above the second, or why that cannot be said."""
        theirs, mine = self.measure(other), self.measure(job)  # what many rows need is measured while there is time
        if isinstance(mine, str):
            return mine
        if isinstance(theirs, str):
            return f"{other.run}: {theirs}"
        if mine.split != theirs.split:
            return "not comparable: the splits differ (splits.json)"
        if mine.data != theirs.data:
            return "not comparable: images, labels or classes differ"
        return Gap.between(mine, theirs)

    def measure(self, job: LoadedJob) -> Measured | str:
        """The run's means over all resamples, or why there are none."""
        assert job.folder is not None
        if job.run not in self._runs:
            if self.spent > self.seconds:
                return f"not compared: {self.seconds:.0f} s of resampling are spent (--seconds gives more)"
            began = time.process_time()
            try:
                self._runs[job.run] = self._resample(job, job.folder)
            except (LightdetError, OSError) as error:
                self._runs[job.run] = str(error)
            self.spent += time.process_time() - began
        return self._runs[job.run]

    def _resample(self, job: LoadedJob, folder: RunFolder) -> Measured | str:
        """From the boxes that the run kept, or those of `lightdet evaluate RUN` where they agree with its numbers."""
        reason = NO_BOXES
        for path in (folder.path / FILE_NAME, folder.path / "evaluate-val" / FILE_NAME):
            if path.exists():
                found = self._resample_file(job, folder, path)
                if isinstance(found, Measured):
                    return found
                reason = found
        return reason

    def _resample_file(self, job: LoadedJob, folder: RunFolder, path: Path) -> Measured | str:
        kept = read_detections(path)
        if not kept.images:
            return "no validation images"
        records = match_records(kept.images, len(kept.classes))
        if not any(record.truths.any() for record in records):
            return "no truth in the validation images"
        # one draw for all runs on the same images; seeds whose splits differ are resampled independently of each other
        data, count = _data_digest(kept), len(kept.images)
        if data not in self._draws:
            resamples = draw(count, self.resamples, seed=len(self._draws))
            self._draws[data] = np.concatenate(
                [np.ones((1, count), np.int64), resamples]
            )  # the images themselves first
        full, *resampled = mean_precisions(records, self._draws[data])
        for name, value in zip(MEANS, full, strict=True):
            told = job.metric(name)
            if told is not None and not abs(told - value) <= AGREES:
                return f"{FILE_NAME} gives {name} {value:.3f}, the run {told:.3f}: evaluate the run again"
        splits = read_json(folder.path / "splits.json")
        return Measured(count, data, digest(splits) if splits else "", full, np.stack(resampled))


def _data_digest(kept: KeptDetections) -> str:
    """Of classes, image ids and truth."""
    truth = hashlib.sha256(b"".join(image.truth.tobytes() + b";" for image in kept.images)).hexdigest()
    return digest([kept.classes, kept.image_ids, truth])


def adjusted(comparisons: dict[int, Comparison]) -> dict[int, Comparison]:
    """Holm's p values over all rows, separately for each mean; rows that share their trainings are one comparison."""
    known = {found.runs: found for found in comparisons.values() if found.differences}
    by_runs: dict[tuple[str, ...], dict[str, Difference]] = {runs: {} for runs in known}
    for name in MEANS:
        p_values = holm([found.differences[name].p for found in known.values()])
        for (runs, found), p in zip(known.items(), p_values, strict=True):
            by_runs[runs][name] = replace(found.differences[name], holm=p)
    return {
        number: replace(found, differences=by_runs[found.runs]) if found.differences else found
        for number, found in comparisons.items()
    }


def pairs_of(row: Row, other: Row) -> list[tuple[LoadedJob, LoadedJob]]:
    """Their finished trainings with equal seeds, those of `row` first."""
    beside = {job.seed: job for job in other.finished}
    return [(job, beside[job.seed]) for job in row.finished if job.seed in beside]


def find_row(rows: list[Row], words: str) -> Row:
    """The row that a person means by its number or by `key=value` words. Raises LightdetError unless it is one."""
    asked = words.replace(",", " ").split()
    if len(asked) == 1 and asked[0].isdigit():
        found = [row for row in rows if row.number == int(asked[0])]
    else:
        found = [row for row in rows if fits(row, asked)]
    if len(found) == 1:
        return found[0]
    known = "; ".join(f"{row.number}: {row.label}" for row in (found or rows)[:8])
    problem = "fits several rows" if found else "fits no row"
    raise LightdetError(f"--baseline {words!r} {problem}; give a number or choices of one of these: {known}")


def fits(row: Row, words: list[str]) -> bool:
    """Whether every `key=value` word holds for a row."""
    said = {**row.options, **row.choices}
    return bool(words) and all(said.get(key) == value for key, _, value in (word.partition("=") for word in words))
