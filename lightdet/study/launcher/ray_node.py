"""What happens on a node of a Ray cluster: one run in a temporary folder, its news sent home. No torch here."""

import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from lightdet.runs.folder import RunFolder
from lightdet.study.launcher.processes import Processes
from lightdet.study.launcher.transfer import REQUEST, STATUS, Files, names, pack, unpack

BEAT = 5.0  # seconds between two looks for news
GIVE_UP = 12  # sends in a row that fail before no more are tried
SMALL = 1 << 20  # bytes; a larger file travels with the checkpoints
CHECKPOINTS = ("checkpoints/last.ckpt", "checkpoints/best.ckpt")  # read in this order: best is never older than last


class Mailbox:
    """Runs as an actor beside the driver: nodes put files in, the driver takes them out; the newest of a name stays."""

    def __init__(self) -> None:
        self._letters: dict[str, Files] = {}

    def put(self, sender: str, files: Files) -> None:
        """From the node that is making this attempt at a run."""
        self._letters.setdefault(sender, {}).update(files)

    def take(self) -> dict[str, Files]:
        """Everything since the last time, by sender."""
        letters, self._letters = self._letters, {}
        return letters


class News:
    """A thread that sends what has changed in a run folder: small files at every beat, checkpoints every `seconds`.

    A beat that fails, because a file vanished while it was looked at or because home did not answer, is made up for by
    the next one; home would take lasting silence for a node that hangs, and give up a healthy training.
    """

    def __init__(self, folder: RunFolder, send: Callable[[Files], None], seconds: float, beat: float = BEAT) -> None:
        self._folder = folder
        self._send = send
        self._beat = beat
        self._beats_between = max(1, round(seconds / beat))
        self._sent: dict[str, tuple[int, int]] = {}
        self._failures = 0  # sends in a row
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        for name in names(self._folder):  # home has these
            self._changed(name)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def rest(self) -> Files:
        """All that home has not received yet; for the end of the training."""
        return pack(self._folder, [name for name in names(self._folder) if self._is_ours(name)])

    def _run(self) -> None:
        beats = 0
        while self._failures < GIVE_UP:  # then home is gone: this process ends as well
            known = dict(self._sent)
            try:
                files = self._news(beats)
                if files or not beats:
                    self._deliver(files)
                beats += 1
            except Exception:
                self._sent = known  # what did not arrive is still news
            if self._end.wait(self._beat):
                return

    def _deliver(self, files: Files) -> None:
        self._failures += 1
        self._send(files)
        self._failures = 0

    def _news(self, beats: int) -> Files:
        """The files that the beat of this number sends; the first one sends only that the node has begun."""
        if not beats:
            return {}
        files = self._checkpoints() if beats % self._beats_between == 0 else {}
        small = [name for name in names(self._folder) if self._is_small(name) and self._is_ours(name)]
        files |= pack(self._folder, small)
        if b'"running"' not in files.get(STATUS, b'"running"'):
            files.pop(STATUS)  # the end is sent when everything else is at home
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

    def _is_ours(self, name: str) -> bool:
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
    place: tuple[str, ...],
    files: Files,
    train: str,
    threads: int,
    seconds: float,
    stall_minutes: float | None,
    mailbox: Any,
) -> Files:
    """Train the run that `files` are, in a folder with the last parts `place`; gives what home has not seen yet.

    Its process, and a training that hangs, are looked after as on a single machine. An interruption (ray.cancel) ends
    the training in order, and what it leaves goes home before this returns.
    """
    import ray

    def send(news: Files) -> None:
        ray.get(mailbox.put.remote(sender, news))

    if hasattr(signal, "pthread_sigmask"):  # Ray blocks Ctrl-C, which the training must be able to receive
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with tempfile.TemporaryDirectory(prefix="lightdet-") as top:
        folder = RunFolder(Path(top, *place))
        unpack(folder, files)
        news = News(folder, send, seconds)
        try:
            with news:
                launcher = Processes(workers=1, threads=threads, stall_minutes=stall_minutes, log=True)
                launcher.run([folder], train, stop_on_error=False)
        except KeyboardInterrupt:
            send(news.rest())
            raise
        return news.rest()
