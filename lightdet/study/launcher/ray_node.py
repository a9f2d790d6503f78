"""Trains one run on a node of a Ray cluster, in a temporary folder whose changes go to the driver. No torch here."""

import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from lightdet.runs.folder import RunFolder
from lightdet.study.launcher.processes import Processes
from lightdet.study.launcher.transfer import REQUEST, STATUS, Files, names, pack, unpack

BEAT = 5.0  # seconds between two checks for changed files
GIVE_UP = 12  # consecutive failures to send after which no more is sent
SMALL = 1 << 20  # bytes; a larger file travels with the checkpoints
CHECKPOINTS = ("checkpoints/last.ckpt", "checkpoints/best.ckpt")  # read in this order: best is never older than last


class Mailbox:
    """An actor beside the driver: nodes put files in, the driver takes them out; a newer file replaces an older one."""

    def __init__(self) -> None:
        self._files: dict[str, Files] = {}

    def put(self, sender: str, files: Files) -> None:
        """Adds files of the node with this attempt."""
        self._files.setdefault(sender, {}).update(files)

    def take(self) -> dict[str, Files]:
        """Everything since the last call, by sender."""
        files, self._files = self._files, {}
        return files


class Sender:
    """A thread that sends what has changed in a run folder: small files at every beat, checkpoints every `seconds`.

    A beat that fails, because a file vanished while it was read or the driver did not answer, is repeated by the next
    one. The driver would take lasting silence for a node that hangs, and end a healthy training.
    """

    def __init__(self, folder: RunFolder, send: Callable[[Files], None], seconds: float, beat: float = BEAT) -> None:
        self._folder = folder
        self._send = send
        self._beat = beat
        self._beats_between = max(1, round(seconds / beat))
        self._sent: dict[str, tuple[int, int]] = {}
        self._failures = 0  # consecutive
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        for name in names(self._folder):  # the driver has these
            self._changed(name)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def rest(self) -> Files:
        """All files that the driver has not received yet; for the end of the training."""
        return pack(self._folder, [name for name in names(self._folder) if self._may_be_sent(name)])

    def _run(self) -> None:
        beats = 0
        while self._failures < GIVE_UP:  # then the driver is gone, and this process ends as well
            known = dict(self._sent)
            try:
                files = self._changes(beats)
                if files or not beats:
                    self._deliver(files)
                beats += 1
            except Exception:
                self._sent = known  # what did not arrive is sent again
            if self._end.wait(self._beat):
                return

    def _deliver(self, files: Files) -> None:
        self._failures += 1
        self._send(files)
        self._failures = 0

    def _changes(self, beats: int) -> Files:
        """The files that the beat of this number sends; the first beat only reports that the node has started."""
        if not beats:
            return {}
        files = self._checkpoints() if beats % self._beats_between == 0 else {}
        small = [name for name in names(self._folder) if self._is_small(name) and self._may_be_sent(name)]
        files |= pack(self._folder, small)
        if b'"running"' not in files.get(STATUS, b'"running"'):
            files.pop(STATUS)  # the end is sent after everything else
            self._sent.pop(STATUS)
        return files

    def _checkpoints(self) -> Files:
        last, best = CHECKPOINTS
        if not self._changed(last):
            return {}
        files = pack(self._folder, [last])
        return files | pack(self._folder, [best] if self._changed(best) else [])

    def _is_small(self, name: str) -> bool:
        path = self._folder.path / name
        return "/" not in name and path.exists() and path.stat().st_size < SMALL

    def _may_be_sent(self, name: str) -> bool:
        return name not in REQUEST and self._changed(name)

    def _changed(self, name: str) -> bool:
        """Whether a file has changed since the last call."""
        try:
            stat = (self._folder.path / name).stat()
        except FileNotFoundError:
            return False
        signature = (stat.st_mtime_ns, stat.st_size)
        known = self._sent.get(name)
        self._sent[name] = signature
        return signature != known


def train_on_node(
    sender: str,
    parts: tuple[str, ...],
    files: Files,
    train: str,
    threads: int,
    seconds: float,
    stall_minutes: float | None,
    mailbox: Any,
) -> Files:
    """Trains the run whose folder holds `files`; returns the files that the driver has not received yet.

    `parts`: the last parts of the folder's path. The training runs in a child process with the rules of `Processes`. An
    interruption (ray.cancel) ends the training in order, and its files are sent before this returns.
    """
    import ray

    def send(changed: Files) -> None:
        ray.get(mailbox.put.remote(sender, changed))

    if hasattr(signal, "pthread_sigmask"):  # Ray blocks Ctrl-C, which the training must be able to receive
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with tempfile.TemporaryDirectory(prefix="lightdet-") as top:
        folder = RunFolder(Path(top, *parts))
        unpack(folder, files)
        sending = Sender(folder, send, seconds)
        try:
            with sending:
                launcher = Processes(workers=1, threads=threads, stall_minutes=stall_minutes, log=True)
                launcher.run([folder], train, stop_on_error=False)
        except KeyboardInterrupt:
            send(sending.rest())
            raise
        return sending.rest()
