"""Frames of video files; damaged ones are counted and passed over. No torch here."""

import glob
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

from lightdet.core.errors import LightdetError
from lightdet.core.regular import no_file
from lightdet.runtime.source import Source
from lightdet.runtime.sources import Frame, Original

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".wmv", ".mpg", ".mpeg", ".ts"})
MOST_DAMAGED = 1000  # frames in a row, after which the rest of a file counts as lost: a header may claim any number
QUIET = {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"}  # FFMPEG's lines about a frame; we count them


def is_video(word: str) -> bool:
    """Whether a file or a glob of files is named as a video."""
    return Path(word).suffix.lower() in VIDEO_SUFFIXES and not Path(word).is_dir()


def find_videos(word: str) -> list[Path]:
    """The files that a path or a glob names, sorted. Raises LightdetError where there is none."""
    path = Path(word)
    found = [path] if path.exists() else [Path(each) for each in sorted(glob.glob(word, recursive=True))]
    if not found:
        raise LightdetError(f"{word}: no such video")
    for each in found:
        if what := no_file(each):
            raise LightdetError(f"{each}: {what} is no video; give a file")
    return found


class Video(Source):
    """A video file. It is opened at once, so that what is none is refused before anything is computed."""

    def __init__(self, path: Path) -> None:
        """Raises LightdetError for a file that is no video."""
        self.path = path
        self.damaged = 0
        self._rest = ""
        self._closed = threading.Event()
        capture = self._capture()
        frames, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        capture.release()
        self._claimed = int(frames) if 0 < frames < 2**53 else 0
        self.total = self._claimed or None
        self.fps = rate if 0 < rate < 1000 else None

    def originals(self, bits: int | None) -> Iterator[Original]:
        capture = self._capture()
        number = in_a_row = 0
        try:
            while not self._closed.is_set():
                good, pixels = capture.read()
                if not good and number >= self._claimed:
                    break  # a damaged frame before the last one is no end
                if good:
                    in_a_row = 0
                    frame = Frame(str(self.path), number, self._seconds(capture, number))
                    yield Original(None, pixels=cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), frame=frame)
                else:
                    self.damaged, in_a_row = self.damaged + 1, in_a_row + 1
                    if in_a_row == MOST_DAMAGED:
                        self._rest = f"{self.path}: nothing can be read behind frame {number - MOST_DAMAGED}; its rest "
                        self._rest += f"is left out, {max(0, self._claimed - number - 1)} frames as its header says"
                        break
                number += 1
        finally:
            capture.release()

    def close(self) -> None:
        self._closed.set()

    def missed(self) -> Sequence[str]:
        damaged = f"{self.path}: {self.damaged} damaged frames without a prediction"
        return [line for line in (damaged if self.damaged else "", self._rest) if line]

    def counts(self) -> dict[str, Any]:
        return {"damaged_frames": self.damaged}

    def _seconds(self, capture: cv2.VideoCapture, number: int) -> float | None:
        """As the file says of its last frame, since the rate may change; else by the rate."""
        stated = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if stated > 0:
            return round(stated, 3)
        return round(number / self.fps, 3) if self.fps else None

    def _capture(self) -> cv2.VideoCapture:
        quiet()
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise LightdetError(
                f"{self.path}: no video that OpenCV can read; it may be cut off or still be written; else convert it "
                "to MP4 with H.264"
            )
        return capture


def quiet() -> None:
    """FFMPEG inside OpenCV says nothing on stderr, unless the environment asks it to. Before the first capture."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
