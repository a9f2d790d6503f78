"""Paths of images as they come: files that appear in a folder, and lines of standard input. No torch here."""

import os
import select
import threading
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from time import monotonic

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.data.search import find_images
from lightdet.runtime.source import Source
from lightdet.runtime.sources import Original

POLL = 0.2  # s
SETTLED = 1.0  # s without a change, after which a file of a format without an end mark is whole
CUT = 10.0  # s without a change, after which a file that lacks its end is taken as it is: reading it says what is wrong
ENDS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND\xaeB`\x82", b"GIF8": b"\x3b"}  # by what a file starts with


class Watched(Source):
    """The images in folders and in those inside them: the ones that are there, then each that appears, when it is
    whole. `seen`: paths as `str(path)` gives them, which are passed over. Ends after `idle_seconds` without a new file.
    """

    def __init__(
        self,
        folders: Sequence[str],
        idle_seconds: float | None = None,
        seen: Container[str] = (),
        beside: Path | None = None,
    ) -> None:
        """`beside`: a folder whose images are not taken, that of our own pictures. Raises LightdetError for what is no
        folder."""
        for folder in folders:
            if not os.path.isdir(folder):
                raise LightdetError(f"--watch {folder}: no folder; make it, or name another one")
        self.folders = [Path(folder) for folder in folders]
        self.idle_seconds = idle_seconds
        self.left_out = LeftOut()  # of the last look
        self._beside = None if beside is None else Path(os.path.realpath(beside))
        self._before = seen
        self._taken: set[Path] = set()  # of those that still lie there
        self._closed = threading.Event()

    def originals(self, bits: int | None) -> Iterator[Original]:
        waiting: dict[Path, tuple[tuple[int, int], float]] = {}  # of files that are not taken yet: state, since when
        since = monotonic()
        while not self._closed.is_set():
            started = monotonic()
            there = self._look()
            self._taken.intersection_update(there)  # what was moved away is forgotten
            before, waiting = waiting, {}
            for path in there:
                if path in self._taken or str(path) in self._before or (state := _state(path)) is None:
                    continue
                known, first = before.get(path, (None, started))
                if state == known and is_whole(path, state[0], started - first):
                    self._taken.add(path)
                    yield Original(path, bits)
                    since = monotonic()
                else:
                    waiting[path] = state, first if state == known else started
            if not waiting and self.idle_seconds is not None and monotonic() - since > self.idle_seconds:
                return
            self._closed.wait(max(POLL, 2 * (monotonic() - started)))  # a large folder takes longer to look through

    def close(self) -> None:
        self._closed.set()

    def _look(self) -> list[Path]:
        self.left_out = LeftOut()
        found = [path for folder in self.folders for path in find_images(folder, self.left_out)]
        if self._beside is None:
            return found
        return [path for path in found if not Path(os.path.realpath(path)).is_relative_to(self._beside)]


class Listed(Source):
    """The paths that standard input has, one a line."""

    def __init__(self, descriptor: int = 0) -> None:
        self.descriptor = descriptor
        self._closed = threading.Event()

    def originals(self, bits: int | None) -> Iterator[Original]:
        return (Original(Path(line), bits) for line in self._lines() if line)

    def close(self) -> None:
        self._closed.set()

    def _lines(self) -> Iterator[str]:
        """Read without a lock of Python's, which a thread that waits for a line would hold when the program ends."""
        rest = b""
        while not self._closed.is_set():
            if not select.select([self.descriptor], [], [], POLL)[0]:
                continue
            content = os.read(self.descriptor, 65536)
            *lines, rest = (rest + content).split(b"\n")
            yield from (os.fsdecode(line.rstrip(b"\r")) for line in lines)
            if not content:
                yield os.fsdecode(rest)
                return


def is_whole(path: Path, size: int, unchanged: float) -> bool:
    """Whether a file of `size` bytes that did not change for `unchanged` s is written to its end, as far as its format
    shows that: a JPEG, PNG or GIF by its end, a BMP or WEBP by the length in its header."""
    if unchanged > CUT:
        return True
    try:
        with open(path, "rb") as file:
            start = file.read(12)
            file.seek(-min(size, 64), os.SEEK_END)
            end = file.read().rstrip(b"\0")
    except OSError:
        return False
    for mark, last in ENDS.items():
        if start.startswith(mark):
            return end.endswith(last)
    if start[:2] == b"BM":
        return size >= int.from_bytes(start[2:6], "little")
    if start[:4] == b"RIFF":
        return size >= int.from_bytes(start[4:8], "little") + 8
    return size > 0 and unchanged > SETTLED


def _state(path: Path) -> tuple[int, int] | None:
    """Bytes, and when it was changed last (ns); None where it is gone."""
    try:
        found = os.stat(path)
    except OSError:  # moved away
        return None
    return found.st_size, found.st_mtime_ns
