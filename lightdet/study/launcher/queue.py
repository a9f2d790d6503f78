"""The runs that a launcher has to train, and the lines printed about each. No torch here."""

import time
from collections import deque
from collections.abc import Sequence

from lightdet.core.shown import shown
from lightdet.runs.folder import RunFolder
from lightdet.runs.status import ENDED


class Queue:
    """Runs in the order of their jobs; a run that another process trains is deferred.

    True while a run can still be started. With `stop_on_error` none can after one that failed.
    """

    def __init__(self, folders: Sequence[RunFolder], stop_on_error: bool) -> None:
        self.waiting = deque(folder for folder in folders if not folder.is_done())
        self.stopped = False
        self._stop_on_error = stop_on_error
        self._deferred: list[RunFolder] = []
        self._total, self._started = len(self.waiting), 0

    def __bool__(self) -> bool:
        return not self.stopped and bool(self.waiting or self._deferred)

    def __len__(self) -> int:
        """How many runs can be started now."""
        return 0 if self.stopped else len(self.waiting)

    def take(self) -> RunFolder | None:
        """The next run that is not done and that no process trains; None when there is none."""
        while len(self):
            folder = self.waiting.popleft()
            if folder.holder() is not None:
                print(f"lightdet: {folder.path} is being trained by another process; waiting for it", flush=True)
                self.defer(folder)
            elif not folder.is_done():
                return folder
        return None

    def defer(self, folder: RunFolder) -> None:
        """Defers a run that another process trains."""
        self._deferred.append(folder)

    def take_over(self) -> None:
        """Puts deferred runs back whose process died before their end."""
        for folder in [folder for folder in self._deferred if folder.holder() is None]:
            self._deferred.remove(folder)
            if folder.read_status().get("state") not in ENDED:
                self.waiting.append(folder)

    def report_start(self, folder: RunFolder, where: str = "") -> None:
        """Prints that a run starts; `where`: on which node or as which job, "" for this machine."""
        self._started += 1
        print(f"lightdet: run {self._started} of {self._total}: {folder.path}{where}", flush=True)

    def report_end(self, folder: RunFolder, started: float) -> None:
        """Prints the outcome of a run that started at `started` (time.monotonic(), seconds)."""
        status = folder.read_status()
        state, minutes = status.get("state"), (time.monotonic() - started) / 60
        details = f" (see {status['traceback']})" if status.get("traceback") else ""
        reason = f": {status['reason']}{details}" if status.get("reason") else ""
        print(shown(f"lightdet: {folder.path} is {state} after {minutes:.1f} min{reason}"), flush=True)
        self.stopped = self.stopped or (self._stop_on_error and state == "failed")
