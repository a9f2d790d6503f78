"""`lightdet predict`: sources -> pipeline -> files."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

import cv2
import numpy as np
import torch

from lightdet.core.cores import cores
from lightdet.core.errors import LightdetError, one_line
from lightdet.core.files import locked
from lightdet.core.outside import outside
from lightdet.core.progress import watched
from lightdet.engine.detection_result import DetectionResult
from lightdet.engine.drawn_video import DrawnVideo
from lightdet.engine.jobs import LOCK, Job, Jobs, in_use
from lightdet.engine.picture_files import MADE_BY, check_free, is_drawn, save_picture
from lightdet.engine.predictor import Predictor, Stopwatch
from lightdet.engine.result import Result
from lightdet.engine.sink.contract import Entry, Format, format_named
from lightdet.engine.summary import LINES, Summary
from lightdet.engine.verdict import Lot
from lightdet.runtime.found import PICTURES, REPORTS
from lightdet.runtime.pipeline import in_order

VIDEO = "predictions.mp4"
MOST_THREADS = 8  # by default; more decode and wait for one network


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is written of each image. threads: images worked on at a time; None: one per core, and at most eight."""

    pictures: bool = True
    formats: Sequence[str] = ()  # beside those that the task always has
    video: bool = False  # of the frames with their boxes
    verdict: bool = False
    threads: int | None = None

    @property
    def at_a_time(self) -> int:
        """Images worked on at a time."""
        return self.threads or min(cores(), MOST_THREADS)


class _Done(NamedTuple):
    """What a thread made of one image."""

    entry: Entry  # file and reason alone where it is skipped
    names: Sequence[str] = ()
    undrawn: str = ""
    drawn: np.ndarray | None = None  # for the video


def predict(predictor: Predictor, jobs: Jobs, out: Path | None, wanted: Wanted | None = None) -> Summary:
    """Predict on every image and write under `out`: predictions.jsonl, a line for each image as soon as it is done, and
    pictures/; at the end predictions.json and the task's further files, such as predictions.coco.json. `out` None: the
    lines go to standard output, and nothing else is written.

    Several threads read, place, predict and draw, in the order of the images and with no more of them in memory than
    threads. An image that cannot be read, or for which the model returns NaN, is skipped; the others are predicted,
    and with `wanted.verdict` each passes or fails. Where nothing more can be written, `Summary.ended` says so. Whatever
    ends it, an interruption included, what was predicted until then stays. Raises LightdetError for an `out` that
    cannot be made, that holds files of others, or in which another process predicts.
    """
    wanted = wanted or Wanted()
    if out is None:
        return _predict(predictor, jobs, None, wanted, [])
    formats = _formats(predictor, wanted)
    further = [name for each in formats for name in each.files] + ([VIDEO] if wanted.video else [])
    check_free(out, [], [*([] if jobs.resumed else REPORTS), *further])
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LightdetError(f"{out}: cannot be made ({error.strerror or error}); give another folder, --out") from error
    with locked(out / LOCK) as holder:
        if holder is not None:
            raise in_use(out, holder)
        return _predict(predictor, jobs, out, wanted, formats)


def _predict(predictor: Predictor, jobs: Jobs, out: Path | None, wanted: Wanted, formats: Sequence[Format]) -> Summary:
    """The same in a folder that this process has for itself."""
    lot = Lot(f"threshold {predictor.threshold:.4g}, {predictor.threshold_from}") if wanted.verdict else None
    watch = Stopwatch(predictor.device)
    summary = Summary(out, predictor, jobs.source, jobs.found, watch, lot=lot, at_a_time=wanted.at_a_time)
    predictor.warm_up()
    try:
        with _one_thread_an_image(predictor):
            _predict_all(summary, jobs, wanted)
        _write_rest(summary, formats)
    except OSError as error:
        _end(summary, jobs.source.total, error, formats)
    except BaseException as error:
        _end(summary, jobs.source.total, error, formats)
        raise
    return summary


@contextmanager
def _one_thread_an_image(predictor: Predictor) -> Iterator[None]:
    """OpenCV and, where several threads may predict at once, torch compute an image in the thread that has it: to
    divide one image among threads costs more than it saves while the other threads have images of their own."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    if predictor.reentrant:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def _formats(predictor: Predictor, wanted: Wanted) -> list[Format]:
    """Raises LightdetError for a format that is not there, or that needs boxes where there are none."""
    names = dict.fromkeys([*predictor.result_type.formats, *wanted.formats])
    for name in names:
        if format_named(name).boxes and not issubclass(predictor.result_type, DetectionResult):
            raise LightdetError(f"--write {name}: holds boxes, and this model predicts none; take csv")
    return [format_named(name) for name in names]


def _predict_all(summary: Summary, jobs: Jobs, wanted: Wanted) -> None:
    """Counts and writes what the threads give, in order."""
    predictor, out, source = summary.predictor, summary.out, jobs.source
    threads = summary.at_a_time

    def work(job: Job) -> _Done:
        return _predict_one(summary, job, wanted)

    with ExitStack() as stack:
        stack.callback(source.close)
        lines: TextIO = stack.enter_context(_lines(out, jobs))
        video = DrawnVideo(out / VIDEO, source.fps) if wanted.video and out is not None else None
        if video is not None:
            stack.callback(video.close)
        done = in_order(jobs.each(predictor.bits), work, threads, 0 if source.live else threads)
        stack.callback(done.close)  # type: ignore[attr-defined]
        images = watched(done, source.total, "images") if out is not None else done
        for each in images:
            entry = each.entry
            if "reason" in entry:
                summary.missing += 1
            else:
                summary.images += 1
                entry = {"id": jobs.earlier + summary.images, **entry}
                summary.names.update(each.names)
                if summary.lot is not None:
                    summary.lot.count(entry["verdict"])
            if each.undrawn:
                summary.undrawn += 1
                summary.first_undrawn.append(each.undrawn)
            if video is not None and each.drawn is not None:
                video.add(each.drawn)
            lines.write(json.dumps({"made_by": MADE_BY, **entry}) + "\n")
            lines.flush()  # it stays, however this process ends


def _lines(out: Path | None, jobs: Jobs) -> TextIO:
    """Where the entries go. Standard output is not written through the stream that drops what nobody reads: a reader
    that has gone ends the call."""
    if out is None:
        return open(os.dup(1), "w", encoding="utf-8")
    return open(out / LINES, "a" if jobs.resumed else "w", encoding="utf-8")


def _predict_one(summary: Summary, job: Job, wanted: Wanted) -> _Done:
    """In a thread: the entry of an image, or of one that is skipped its name and the reason."""
    original, predictor = job.original, summary.predictor
    try:
        result = predictor.predict(original, summary.watch, predictor.tiles)
    except LightdetError as error:
        reason = " ".join(str(error).removeprefix(f"{original.name}: ").split())
        return _Done({**original.place, "reason": reason})
    facts = result.to_dict() | (summary.lot.judge(result) if summary.lot is not None else {})
    first = {key: facts.pop(key) for key in (*original.place, "height", "width")}
    drawn: np.ndarray | None = None
    picture: dict[str, str] = {}
    undrawn = ""
    if wanted.pictures or wanted.video:
        drawn, picture, undrawn = _draw(summary, job, result, wanted)
    original.release()
    entry = {**first, "name": job.name, **picture, **facts}
    return _Done(entry, result.names, undrawn, drawn if wanted.video else None)


def _draw(summary: Summary, job: Job, result: Result, wanted: Wanted) -> tuple[np.ndarray | None, dict[str, str], str]:
    """The image with its boxes, where its picture lies, and why there is none."""
    drawn, place = None, {"picture": ""} if wanted.pictures else {}
    try:
        with summary.watch.step("draw"):
            image = result.plot()
        drawn = np.asarray(image)
        if wanted.pictures and summary.out is not None:
            path = summary.out / PICTURES / job.picture
            if not job.checked and path.exists() and not is_drawn(path):
                raise LightdetError(f"{path} is not made by `{MADE_BY}`, and not overwritten")
            save_picture(image, path)
            place = {"picture": f"{PICTURES}/{job.picture}"}
    except Exception as error:  # a prediction does not depend on its picture
        return drawn, place, f"no picture of {job.original.name}: {outside(error) or one_line(error)}"
    return drawn, place, ""


def _write_rest(summary: Summary, formats: Sequence[Format]) -> None:
    """predictions.json and the other formats, from predictions.jsonl."""
    if summary.out is None:
        return
    for each in formats:
        try:
            each.write(summary.out, summary.each_entry(), summary.predictor.classes)
        except LightdetError as error:  # of two images with one label file
            summary.unwritten.append(str(error))
    summary.write_whole(summary.out)


def _end(summary: Summary, images: int | None, error: BaseException, formats: Sequence[Format]) -> None:
    """Notes an end before the last image, and writes what is there if it can be written."""
    done = summary.images + summary.missing
    reason = outside(error) or one_line(error)
    of = "" if images is None else f" of {images}"
    where = "" if summary.out is None else f"; {summary.out / LINES} has their predictions"
    summary.ended = f"ended after {done}{of} images: {reason}{where}"
    with suppress(OSError):
        _write_rest(summary, formats)
