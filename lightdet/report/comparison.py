"""Compares rows with the baseline by a paired bootstrap over the validation images, and over seeds.

Seeds are blocks: seed s of a row is compared with seed s of the baseline, on the same images, in every resample on the
same draw of them. With several seeds a second interval resamples the seeds too (see `metric/paired.py`). With
several rows, verdicts use Holm's p values. No torch here.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from lightdet.config.tree import digest
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.metric.bootstrap import draw
from lightdet.metric.paired import holm
from lightdet.report.difference import Difference, Gap, Measured, judged
from lightdet.report.per_image import PerImage, read_per_image
from lightdet.report.rows import LoadedJob, Row
from lightdet.runs.folder import RunFolder

NOTHING_KEPT = "no per-image results: evaluate the run again"
AGREES = 0.0025  # how far kept images may be off the run's own score, above 1 relatively: older files rounded boxes


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row against the baseline: its differences by the key of the score, or the reason why there are none."""

    reason: str = ""
    seeds: tuple[str, ...] = ()
    images: int = 0
    differences: dict[str, Difference] = field(default_factory=dict)
    runs: tuple[str, ...] = ()  # of the row, one per seed


class Comparer:
    """Compares rows with one baseline; each run is resampled once, while there is processor time left."""

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
        """The scores of the first run minus those of the second, or why there is no difference."""
        reference, measured = self.measure(other), self.measure(job)  # the baseline first: every row needs it
        if isinstance(measured, str):
            return measured
        if isinstance(reference, str):
            return f"{other.run}: {reference}"
        if measured.split != reference.split:
            return "not comparable: the splits differ (splits.json)"
        if measured.keys != reference.keys:
            return "not comparable: other scores are kept per image"
        if measured.data != reference.data:
            return "not comparable: images, labels or classes differ"
        return Gap.between(measured, reference)

    def measure(self, job: LoadedJob) -> Measured | str:
        """The run's scores on all resamples, or why there are none."""
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
        """From what the run keeps per image, or from `lightdet evaluate RUN` if it agrees with the run's scores."""
        reason = NOTHING_KEPT
        for path in (folder.path, folder.path / "evaluate-val"):
            kept = read_per_image(path)
            if kept is None:
                continue
            measured = kept if isinstance(kept, str) else self._resample_images(job, folder, kept)
            if isinstance(measured, Measured):
                return measured
            reason = measured
        return reason

    def _resample_images(self, job: LoadedJob, folder: RunFolder, kept: PerImage) -> Measured | str:
        # one draw for all runs on the same images; seeds whose splits differ are resampled independently of each other
        if kept.data not in self._draws:
            resamples = draw(kept.images, self.resamples, seed=len(self._draws))
            every_image_once = np.ones((1, kept.images), np.int64)
            self._draws[kept.data] = np.concatenate([every_image_once, resamples])
        full, *resampled = kept.scores_on(self._draws[kept.data])
        for key, value in zip(kept.keys, full, strict=True):
            reported = job.metric(key)
            if reported is not None and not abs(reported - value) <= AGREES * max(1.0, abs(reported)):
                return f"{kept.file} gives {key} {value:.3f}, the run {reported:.3f}: evaluate the run again"
        splits = read_json(folder.path / "splits.json")
        split = digest(splits) if splits else ""
        return Measured(kept.images, kept.data, split, kept.keys, full, np.stack(resampled))


def adjusted(comparisons: dict[int, Comparison]) -> dict[int, Comparison]:
    """Holm's p values over all rows, separately for each score; rows that share their trainings are one comparison."""
    known = {each.runs: each for each in comparisons.values() if each.differences}
    by_runs: dict[tuple[str, ...], dict[str, Difference]] = {runs: {} for runs in known}
    for key in dict.fromkeys(key for each in known.values() for key in each.differences):
        family = {runs: each.differences[key] for runs, each in known.items() if key in each.differences}
        p_values = holm([difference.p for difference in family.values()])
        for (runs, difference), p in zip(family.items(), p_values, strict=True):
            by_runs[runs][key] = replace(difference, holm=p)
    return {
        number: replace(each, differences=by_runs[each.runs]) if each.differences else each
        for number, each in comparisons.items()
    }


def pairs_of(row: Row, other: Row) -> list[tuple[LoadedJob, LoadedJob]]:
    """Their finished trainings with equal seeds, those of `row` first."""
    beside = {job.seed: job for job in other.finished}
    return [(job, beside[job.seed]) for job in row.finished if job.seed in beside]


def find_row(rows: list[Row], words: str) -> Row:
    """The row named by its number or by `key=value` words. Raises LightdetError unless it is one."""
    parts = words.replace(",", " ").split()
    if len(parts) == 1 and parts[0].isdigit():
        fitting = [row for row in rows if row.number == int(parts[0])]
    else:
        fitting = [row for row in rows if fits(row, parts)]
    if len(fitting) == 1:
        return fitting[0]
    known = "; ".join(f"{row.number}: {row.label}" for row in (fitting or rows)[:8])
    problem = "fits several rows" if fitting else "fits no row"
    raise LightdetError(f"--baseline {words!r} {problem}; give a number or choices of one of these: {known}")


def fits(row: Row, words: list[str]) -> bool:
    """Whether every `key=value` word holds for a row."""
    chosen = {**row.options, **row.choices}
    return bool(words) and all(chosen.get(key) == value for key, _, value in (word.partition("=") for word in words))
