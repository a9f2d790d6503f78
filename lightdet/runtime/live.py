"""Frames of a camera or of an address: the newest one counts, and one that goes away is waited for. No torch here."""

import re
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import cv2
import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown
from lightdet.runtime.source import Source
from lightdet.runtime.sources import Frame, Original
from lightdet.runtime.video import quiet

CAMERA = re.compile(r"camera:(\d{1,4})")
SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp", "tcp", "srt")
OPEN_MS, READ_MS = 5000, 5000  # after which opening, or a frame, counts as failed
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # s, before it is opened again; doubled after each failure
PATIENCE = READ_MS / 1000 + 1  # s, for which `close` waits for the reading thread


def is_live(word: str) -> bool:
    """Whether a word is camera:NUMBER or an address."""
    return CAMERA.fullmatch(word) is not None or (word.partition("://")[0].lower() in SCHEMES and "://" in word)


def without_password(address: str) -> str:
    """The address as it may be written down: without user, password and what follows a "?"."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Live(Source):
    """A camera, or an address that FFMPEG reads. Frames are read as they come; one that a newer one replaces before it
    is taken is dropped and counted. When it fails, it is opened again, after 0.5 s, 1 s, ... 30 s, for ever or until
    `idle_seconds` have passed without a frame.
    """

    live = True

    def __init__(self, word: str, idle_seconds: float | None = None) -> None:
        """`word` as `is_live` knows it. Raises LightdetError where it cannot be opened now."""
        camera = CAMERA.fullmatch(word)
        self._opens: tuple[Any, ...] = (int(camera[1]),) if camera else (word, cv2.CAP_FFMPEG, timeouts())
        self.name = word if camera else without_password(word)
        self.idle_seconds = idle_seconds
        self.read = self.dropped = self.lost = 0  # frames; the last: how often it went away
        self._silent = ""
        self._newest: tuple[np.ndarray, Frame] | None = None
        self._came = threading.Condition()
        self._closed = threading.Event()
        quiet()
        self._capture: cv2.VideoCapture | None = self._opened()
        if self._capture is None:
            raise LightdetError(f"{self.name}: no camera or stream answers there; check its address, power and network")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if 0 < rate < 1000 else None
        self._reader = threading.Thread(target=self._read, name="lightdet-camera", daemon=True)

    def originals(self, bits: int | None) -> Iterator[Original]:
        self._reader.start()
        since = monotonic()
        while True:
            with self._came:
                while self._newest is None and not self._closed.is_set():
                    self._came.wait(0.2)
                    if self.idle_seconds is not None and monotonic() - since > self.idle_seconds:
                        self._silent = f"{self.name}: no frame for {self.idle_seconds:g} s, so it ended"
                        return
                if self._newest is None or self._closed.is_set():
                    return
                (pixels, frame), self._newest = self._newest, None
            yield Original(None, pixels=cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), frame=frame)
            since = monotonic()

    def close(self) -> None:
        self._closed.set()
        with self._came:
            self._came.notify_all()
        if self._reader.is_alive():
            self._reader.join(PATIENCE)

    def missed(self) -> Sequence[str]:
        return [self._silent] if self._silent else []

    def counts(self) -> dict[str, Any]:
        return {"frames_read": self.read, "frames_dropped": self.dropped, "times_lost": self.lost}

    def _read(self) -> None:
        while not self._closed.is_set():
            good, pixels = self._capture.read() if self._capture is not None else (False, None)
            if good and pixels is not None:
                self._put(pixels)
            elif not self._closed.is_set():
                self._open_again()
        if self._capture is not None:
            self._capture.release()

    def _put(self, pixels: np.ndarray) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._came:
            self.dropped += self._newest is not None
            self._newest = pixels, Frame(self.name, self.read, time=time)
            self.read += 1
            self._came.notify_all()

    def _open_again(self) -> None:
        """Waits and opens it again, until that succeeds or it is closed."""
        self.lost += 1
        self._tell("gone; it is opened again until it comes back")
        if self._capture is not None:
            self._capture.release()
        self._capture, wait = None, FIRST_WAIT
        while not self._closed.wait(wait):
            self._capture = self._opened()
            if self._capture is not None:
                return self._tell("back")
            wait = min(2 * wait, LONGEST_WAIT)

    def _opened(self) -> cv2.VideoCapture | None:
        capture = cv2.VideoCapture(*self._opens)
        if capture.isOpened():
            return capture
        capture.release()
        return None

    def _tell(self, what: str) -> None:
        print(f"lightdet: {shown(self.name)}: {what}", file=sys.stderr)


def timeouts() -> list[int]:
    """As `cv2.VideoCapture` takes them."""
    return [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
