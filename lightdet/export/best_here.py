"""`lightdet export RUN --for this-machine`: every format and precision that can be made here, judged, timed in turns in
one process, and the fastest that passes kept."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.benchmark.machine import load, machine_facts
from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json
from lightdet.core.table import to_text
from lightdet.core.timing import interleaved, paired_ratio
from lightdet.data.image import read_image
from lightdet.export.choice import FLOAT32, format_names, format_of
from lightdet.export.gate import Gate
from lightdet.export.source import Source
from lightdet.export.verdict import Verdict
from lightdet.export.write import remove, require_free, verdicts, write_checked
from lightdet.runtime.session import Exported, placing

ROUNDS, BATCH = 50, 8
TABLE = "this-machine.json"
INT8 = "int8"
HEADER = (
    *("format", "precision", "threads", "p50 ms", "p99 ms", "ratio", "images/s"),
    *("memory MB", "file MB", "score", "worst class", "verdict"),
)
NUMERIC = [False, False, *[True] * 8, False, False]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file. place: where it lies; None: it could not be made, for the reason `verdict`. score: what it reaches;
    worst: what the class that loses most loses, in words. memory: bytes that opening and running it took."""

    form: str
    precision: str
    place: Path | None
    passed: bool
    verdict: str
    score: str = "-"
    worst: str = "-"


@dataclass(frozen=True, slots=True)
class Timed:
    """One file with a number of threads: ms of one image in every round, ms of a batch, and bytes of memory."""

    candidate: Candidate
    threads: int
    times: Sequence[float]
    batch_times: Sequence[float]
    batch: int
    memory: int | None


def best_here(
    source: Source, out: Path, formats: Sequence[str], precisions: Sequence[str], say: Callable[[str], None]
) -> str:
    """Makes the files of all these formats and precisions (none: all that there are) in the folder `out`, judges and
    times them; keeps the fastest that passes, its verdict and the table `this-machine.json`; returns the table and the
    recommendation. `say` gets the progress.

    Raises LightdetError where nothing passes and for a folder that holds other files.
    """
    pairs, absent = pairs_of(formats, precisions)
    _require_ours(out, source)
    trial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(trial, ignore_errors=True)
    trial.mkdir(parents=True)
    try:
        candidates = list(_made(source, trial, pairs, say))
        passed = [each for each in candidates if each.passed]
        if not passed:
            reasons = "; ".join(f"{each.form}, {each.precision}: {each.verdict}" for each in candidates)
            raise LightdetError(f"no file passes on this machine: {reasons}")
        timed = _timed(source, passed, say)
        reference = _reference(timed)
        ratios = {id(each): paired_ratio(each.times, reference.times)["median"] for each in timed}
        timed.sort(key=lambda each: ratios[id(each)])
        winner = timed[0]
        rows = [_row(each, ratios[id(each)]) for each in timed]
        failed = [each for each in candidates if not each.passed]
        text = [to_text(HEADER, [_cells(row) for row in rows] + [_failed_cells(each) for each in failed], NUMERIC)]
        text += [*absent, *_advice(timed), f"recommended: {_words(winner)}"]
        told = {"machine": machine_facts(), "load": load(), "rounds": ROUNDS, "rows": rows, "advice": text[1:]}
        told["failed"] = [{"format": each.form, "precision": each.precision, "why": each.verdict} for each in failed]
        _keep(winner, trial, out, told)
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    return "\n".join(text)


def pairs_of(formats: Sequence[str], precisions: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """All pairs that exist of these formats and precisions, of every format where none is named; and why formats are
    left out. Raises LightdetError for a named format that cannot be made here, and where no pair is left."""
    found, absent = [], []
    for form in formats or format_names():
        try:
            has = format_of(form).precisions
        except LightdetError as error:
            if formats:
                raise
            absent.append(f"not tried: {error}")
            continue
        found += [(form, number) for number in has if not precisions or number in precisions]
    if not found:
        raise LightdetError("--for this-machine: no format that is installed has such a precision")
    return found, absent


def _made(
    source: Source, folder: Path, pairs: Sequence[tuple[str, str]], say: Callable[[str], None]
) -> Iterator[Candidate]:
    gate = Gate(source)
    for form, number in pairs:
        say(f"{form}, {number}: is made and judged")
        try:
            place, verdict = write_checked(
                source, gate, form, number, folder / f"{form}-{number}{format_of(form).ending}"
            )
        except LightdetError as error:
            yield Candidate(form, number, None, False, str(error))
            continue
        told = "passed" if verdict.passed else f"rejected: {verdict.reasons()[0]}"
        yield Candidate(form, number, place, verdict.passed, told, *_scores(verdict))


def _scores(verdict: Verdict) -> tuple[str, str]:
    """Of the last two checks, which compare scores: what the file reaches, and the points that a class loses."""
    score, worst = "-", "-"
    for check in verdict.checks:
        if "model" in check.numbers:
            score = f"{check.numbers['file']:.4f}"
        elif "points" in check.numbers:
            worst = f"{check.numbers['points']:.2f} {check.numbers['class']}"
    return score, worst


def _timed(source: Source, passed: Sequence[Candidate], say: Callable[[str], None]) -> list[Timed]:
    """All files with all numbers of threads, in rounds; each round runs every one of them once."""
    counts = sorted({1, 2, os.cpu_count() or 1} & set(range(1, (os.cpu_count() or 1) + 1)))
    record = source.data.records[source.split][0]
    pixels = read_image(record.path, record.bits)
    calls: dict[tuple[int, int, str], Callable[[], Any]] = {}
    memory: dict[tuple[int, int], int | None] = {}
    sizes: dict[int, int] = {}
    for at, each in enumerate(passed):
        assert each.place is not None
        for threads in counts:
            before = _resident()
            file = Exported(each.place, threads)
            image, letterbox = file.place(pixels)
            one, place = image[None], placing(letterbox)[None]
            sizes[at] = 1 if file.contract.one_image else BATCH
            many, places = np.repeat(one, sizes[at], axis=0), np.repeat(place, sizes[at], axis=0)
            calls[at, threads, "one"] = partial(file.run, one, place)
            calls[at, threads, "batch"] = partial(file.run, many, places)
            calls[at, threads, "one"]()
            after = _resident()
            memory[at, threads] = None if before is None or after is None else max(0, after - before)
    times = interleaved(calls, ROUNDS, report=lambda words: None)
    say(f"{len(calls)} calls were timed in {ROUNDS} rounds")
    return [
        Timed(each, threads, times[at, threads, "one"], times[at, threads, "batch"], sizes[at], memory[at, threads])
        for at, each in enumerate(passed)
        for threads in counts
    ]


def _resident() -> int | None:
    """Bytes of memory that this process holds; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _reference(timed: Sequence[Timed]) -> Timed:
    """The fastest in float32, by the median; of all where none is."""
    full = [each for each in timed if each.candidate.precision == FLOAT32] or list(timed)
    return min(full, key=lambda each: float(np.median(each.times)))


def _advice(timed: Sequence[Timed]) -> list[str]:
    """What int8 gives against the best in float32, with its numbers."""
    full = [each for each in timed if each.candidate.precision == FLOAT32]
    small = [each for each in timed if each.candidate.precision == INT8]
    if not full or not small:
        return []
    reference = _reference(full)
    best = min(small, key=lambda each: paired_ratio(each.times, reference.times)["median"])
    ratio = paired_ratio(best.times, reference.times)
    told = f"{ratio['median']:.2f} (quartiles {ratio['q25']:.2f} to {ratio['q75']:.2f}) x the time of"
    pays = "int8 pays on this machine" if ratio["q75"] < 1 else "int8 does not pay on this machine"
    return [f"{pays}: {_words(best)} takes {told} {_words(reference)}, the best in float32"]


def _words(timed: Timed) -> str:
    threads = "1 thread" if timed.threads == 1 else f"{timed.threads} threads"
    return f"{timed.candidate.form}, {timed.candidate.precision}, {threads}"


def _row(timed: Timed, ratio: float) -> dict[str, Any]:
    place = timed.candidate.place
    assert place is not None
    files = [path for path in place.parent.glob(f"{place.stem}.*") if path not in verdicts(place)]
    return {
        "format": timed.candidate.form,
        "precision": timed.candidate.precision,
        "threads": timed.threads,
        "p50_ms": float(np.percentile(timed.times, 50)),
        "p99_ms": float(np.percentile(timed.times, 99)),
        "ratio": ratio,
        "images_per_second": 1e3 * timed.batch / float(np.median(timed.batch_times)),
        "memory_bytes": timed.memory,
        "file_bytes": sum(path.stat().st_size for path in files),
        "score": timed.candidate.score,
        "worst_class": timed.candidate.worst,
        "verdict": timed.candidate.verdict,
    }


def _cells(row: Mapping[str, Any]) -> list[str]:
    memory = "-" if row["memory_bytes"] is None else f"{row['memory_bytes'] / 1e6:.0f}"
    numbers = [f"{row[key]:.2f}" for key in ("p50_ms", "p99_ms", "ratio")] + [f"{row['images_per_second']:.0f}", memory]
    head = [row["format"], row["precision"], str(row["threads"])]
    return [*head, *numbers, f"{row['file_bytes'] / 1e6:.1f}", row["score"], row["worst_class"], row["verdict"]]


def _failed_cells(candidate: Candidate) -> list[str]:
    words = " ".join(candidate.verdict.split())
    return [candidate.form, candidate.precision, *["-"] * 7, candidate.score, candidate.worst, words[:160]]


def _require_ours(out: Path, source: Source) -> None:
    """Raises LightdetError for a folder that holds anything but what this command left there for the same run."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise LightdetError(f"{out}: exists and is no folder; give another one, --out")
    for path in out.iterdir() if out.is_dir() else ():
        form = next((format_of(name) for name in format_names() if path.name.startswith(f"{name}-")), None)
        if path.name == TABLE or (form is not None and path.suffix != form.ending):
            continue
        if form is None:
            raise LightdetError(f"{path}: another file in the folder that is to be written; give another one, --out")
        require_free(path, source.run, form)


def _keep(winner: Timed, trial: Path, out: Path, told: Mapping[str, Any]) -> None:
    """The winner with what belongs to it, and the table, in place of what an earlier call left."""
    place = winner.candidate.place
    assert place is not None
    for path in list(trial.iterdir()):
        if not path.name.startswith(f"{place.stem}."):
            remove(path)
    write_json(trial / TABLE, {**told, "recommended": {"file": place.name, "threads": winner.threads}})
    shutil.rmtree(out, ignore_errors=True)
    trial.replace(out)
