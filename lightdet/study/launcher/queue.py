"""The runs that a launcher still has to train, and the lines printed about each. No torch here."""

import time
from collections import deque
from collections.abc import Sequence

from lightdet.runs.folder import ENDED, RunFolder


class Queue:
    """Runs in the order of their requests; one that another process trains is set aside meanwhile.

    True while there is a run that could still be begun. With `stop_on_error` there is none after one that failed.
    """

    def __init__(self, folders: Sequence[RunFolder], stop_on_error: bool) -> None:
        self.waiting = deque(folder for folder in folders if not folder.is_done())
        self.stopped = False
        self._stop_on_error = stop_on_error
        self._elsewhere: list[RunFolder] = []
        self._total, self._begun = len(self.waiting), 0

    def __bool__(self) -> bool:
        return not self.stopped and bool(self.waiting or self._elsewhere)

    def __len__(self) -> int:
        """How many could be begun now."""
        return 0 if self.stopped else len(self.waiting)

    def take(self) -> RunFolder | None:
        """The next run that nobody trains and that is not done meanwhile; None when there is none."""
        while len(self):
            folder = self.waiting.popleft()
            if folder.holder() is not None:
                print(f"lightdet: {folder.path} is being trained by another process; it is waited for", flush=True)
                self.put_aside(folder)
            elif not folder.is_done():
                return folder
        return None

    def put_aside(self, folder: RunFolder) -> None:
        """Another process turned out to train this run."""
        self._elsewhere.append(folder)

    def look_again(self) -> None:
        """Take over the runs whose other process died."""
        for folder in [folder for folder in self._elsewhere if folder.holder() is None]:
            self._elsewhere.remove(folder)
            if folder.read_status().get("state") not in ENDED:
                self.waiting.append(folder)

    def tell_begin(self, folder: RunFolder, place: str = "") -> None:
        """Print that a run begins; `place` is where, if not here."""
        self._begun += 1
        print(f"lightdet: run {self._begun} of {self._total}: {folder.path}{place}", flush=True)

    def tell_end(self, folder: RunFolder, started: float) -> None:
        """Print the outcome of a run that began at `started` (time.monotonic(), seconds)."""
        status = folder.read_status()
        state, minutes = status.get("state"), (time.monotonic() - started) / 60
        account = f" (see {status['traceback']})" if status.get("traceback") else ""
        reason = f": {status['reason']}{account}" if status.get("reason") else ""
        print(f"lightdet: {folder.path} is {state} after {minutes:.1f} min{reason}", flush=True)
        self.stopped = self.stopped or (self._stop_on_error and state == "failed")
