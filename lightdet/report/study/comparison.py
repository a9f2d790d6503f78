"""Is a row better than the baseline, or is it noise? Paired bootstrap over the validation images, and over seeds.

Seeds are blocks: seed s of a row is compared with seed s of the baseline, on the same images, in every resample on the
same draw of them. With several seeds a second interval resamples the seeds too. No torch here.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from lightdet.error import LightdetError
from lightdet.metric.bootstrap import MEANS, draw, interval, mean_precisions
from lightdet.metric.match_record import match_records
from lightdet.report.detections import FILE_NAME, KeptDetections, read_detections
from lightdet.report.study.rows import Job, StudyRow
from lightdet.run import RunFolder, digest, read_json

NO_BOXES = "no per-image detections: evaluate the run again"
AGREES = 0.01  # by which the mAP of the kept boxes may differ from the run's own: digits were rounded away


@dataclass(frozen=True, slots=True)
class Difference:
    """Row minus baseline of one mean average precision."""

    estimate: float
    over_images: tuple[float, float]  # 95 %
    over_both: tuple[float, float] | None  # 95 %, images and seeds; None for one seed

    @property
    def within_noise(self) -> bool:
        """Whether an interval holds 0."""
        pairs = [self.over_images, *([self.over_both] if self.over_both else [])]
        return not all(low > 0 or high < 0 for low, high in pairs)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row against the baseline: its differences by the name of the mean, or the reason why there are none."""

    reason: str = ""
    seeds: tuple[str, ...] = ()
    images: int = 0
    differences: dict[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run's means on the full set and on every resample, and what they were measured on."""

    images: int
    data: str  # digest of classes, image ids and truth
    split: str  # digest of splits.json, "" without one
    full: np.ndarray  # (3,)
    resampled: np.ndarray  # (R, 3)


class Comparer:
    """Compares rows with one baseline; each run is matched and resampled once, while there is processor time left."""

    def __init__(self, baseline: StudyRow, resamples: int = 1000, seconds: float = 20.0) -> None:
        self.baseline = baseline
        self.resamples = resamples
        self.seconds = seconds
        self.spent = 0.0
        self._runs: dict[str, Measured | str] = {}
        self._draws: dict[int, np.ndarray] = {}

    def compare(self, row: StudyRow) -> Comparison:
        """The row's finished seeds against the same seeds of the baseline."""
        if row is self.baseline:
            return Comparison("baseline")
        base = {job.row.seed: job for job in self.baseline.finished}
        if not row.finished or not base:
            return Comparison("not finished" if not row.finished else "the baseline is not finished")
        pairs = [(job, base[job.row.seed]) for job in row.finished if job.row.seed in base]
        if not pairs:
            return Comparison("no seed in common with the baseline")
        if all(job.row.run == other.row.run for job, other in pairs):
            return Comparison("the baseline's own training")
        sides = []
        for job, other in pairs:
            mine, theirs = self.measure(job), self.measure(other)
            if isinstance(mine, str) or isinstance(theirs, str):
                reason = mine if isinstance(mine, str) else f"baseline: {theirs}"
                return Comparison(reason if len(pairs) == 1 else f"seed {job.row.seed}: {reason}")
            if mine.split != theirs.split:
                return Comparison(f"not comparable: the splits of seed {job.row.seed} differ (splits.json)")
            if mine.data != theirs.data:
                return Comparison(f"not comparable: images, labels or classes of seed {job.row.seed} differ")
            sides.append((mine, theirs))
        return self._differences(sides, tuple(job.row.seed for job, _ in pairs))

    def _differences(self, sides: list[tuple[Measured, Measured]], seeds: tuple[str, ...]) -> Comparison:
        full = np.stack([mine.full - theirs.full for mine, theirs in sides])  # (S, 3)
        resampled = np.stack([mine.resampled - theirs.resampled for mine, theirs in sides])  # (S, R, 3)
        drawn = np.random.default_rng(1).integers(len(sides), size=(len(sides), resampled.shape[1]))
        both = resampled[drawn, np.arange(resampled.shape[1])].mean(axis=0)
        differences = {
            name: Difference(
                float(full[:, index].mean()),
                interval(resampled[:, :, index].mean(axis=0)),
                interval(both[:, index]) if len(sides) > 1 else None,
            )
            for index, name in enumerate(MEANS)
        }
        return Comparison("", seeds, sides[0][0].images, differences)

    def measure(self, job: Job) -> Measured | str:
        """The run's means over all resamples, or why there are none."""
        assert job.folder is not None
        if job.row.run not in self._runs:
            if self.spent > self.seconds:
                return f"not compared: {self.seconds:.0f} s of resampling are spent (--seconds gives more)"
            began = time.process_time()
            try:
                self._runs[job.row.run] = self._resample(job, job.folder)
            except (LightdetError, OSError) as error:
                self._runs[job.row.run] = str(error)
            self.spent += time.process_time() - began
        return self._runs[job.row.run]

    def _resample(self, job: Job, folder: RunFolder) -> Measured | str:
        kept = kept_detections(folder)
        if kept is None:
            return NO_BOXES
        if not kept.images:
            return "no validation images"
        records = match_records(kept.images, len(kept.classes))
        full = mean_precisions(records, np.ones((1, len(kept.images)), np.int64))[0]
        if np.isnan(full).any():
            return "no truth in the validation images"
        for name, value in zip(MEANS, full, strict=True):
            told = job.row.metric(name)
            if told is not None and not abs(told - value) <= AGREES:
                return f"{FILE_NAME} gives {name} {value:.3f}, the run {told:.3f}: evaluate the run again"
        # one draw per seed of the training: the same for both rows, and for all seeds with as many images
        counts = self._draws.setdefault(len(kept.images), draw(len(kept.images), self.resamples))
        splits = read_json(folder.path / "splits.json")
        truth = [image.truth.tolist() for image in kept.images]
        return Measured(
            len(kept.images),
            digest([kept.classes, kept.image_ids, truth]),
            digest(splits) if splits else "",
            full,
            mean_precisions(records, counts),
        )


def kept_detections(folder: RunFolder) -> KeptDetections | None:
    """What the run kept when it finished, or what `lightdet evaluate RUN` wrote since; None where there is neither."""
    for path in (folder.path / FILE_NAME, folder.path / "evaluate-val" / FILE_NAME):
        if path.exists():
            return read_detections(path)
    return None


def find_row(rows: list[StudyRow], words: str) -> StudyRow:
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


def fits(row: StudyRow, words: list[str]) -> bool:
    """Whether every `key=value` word holds for a row."""
    said = {**row.options, **row.choices}
    return bool(words) and all(said.get(key) == value for key, _, value in (word.partition("=") for word in words))
