"""One run on disk: its folder and its files.

Nothing here imports torch: a finished run is recognised from its files alone.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lightdet.core.errors import LightdetError
from lightdet.core.files import holder_of, locked, now, read_json, write_json, write_text
from lightdet.core.reading import read_text
from lightdet.runs.status import UNREADABLE, checked_status

BEST, LAST = "best.ckpt", "last.ckpt"  # in `checkpoints`: by the monitored score; where a training continues
TRACKERS = frozenset({"wandb", "mlruns", "tensorboard", "submitit"})  # folders of programs that link to their caches
BEAT = 5.0  # seconds between two status updates of `beating`, at least
Item = TypeVar("Item")


class RunFolder:
    """`runs_dir/<study>/<slug>/s<seed>`: one training, from its first epoch to its results."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.yaml"
        self.overrides_path = self.path / "overrides.yaml"
        self.request_path = self.path / "request.yaml"
        self.status_path = self.path / "status.json"
        self.results_path = self.path / "results.json"
        self.metrics_txt = self.path / "metrics.txt"
        self.metrics_csv = self.path / "metrics.csv"
        self.traceback_path = self.path / "traceback.txt"
        self.log_path = self.path / "log.txt"
        self.lock_path = self.path / ".lock"
        self.end_path = self.path / ".end"
        self.checkpoints = self.path / "checkpoints"
        self.start_path = self.checkpoints / "start.ckpt"  # the weights that it starts from, where there are any
        self.pictures = self.path / "pictures"
        self.explain = self.path / "explain"  # heat maps of validation images, and numbers of explanations

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def read_status(self) -> dict[str, Any]:
        """The content of status.json, each fact of the kind that it should be; {} for a folder without one.

        A damaged file is the state `UNREADABLE` with the reason, so that it stops no command of its study.
        """
        try:
            return checked_status(read_json(self.status_path), self.status_path)
        except LightdetError as error:
            return {"state": UNREADABLE, "reason": str(error)}

    def write_status(self, state: str, **facts: Any) -> None:
        """Records that the run is queued, running, done, pruned, failed or killed; earlier facts stay."""
        status = self.read_status()
        for stale in ("reason", "traceback"):
            status.pop(stale, None)
        write_json(self.status_path, {**status, "state": state, **facts, "updated": now()})

    def beat(self) -> None:
        """Update the status: a launcher ends a training whose status does not change for `launcher.stall_minutes`."""
        self.write_status("running")

    def beating(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, with a status update before the first, after the last, and in between every `BEAT` seconds."""
        last = None
        for item in items:
            if last is None or time.monotonic() - last >= BEAT:
                self.beat()
                last = time.monotonic()
            yield item
        self.beat()

    def read_results(self) -> dict[str, Any]:
        """The final numbers; {} while there are none."""
        return read_json(self.results_path)

    def read_metrics_text(self) -> str:
        """The final numbers as a text table; "" where there is none, as in runs of older code."""
        return read_text(self.metrics_txt) if self.metrics_txt.exists() else ""

    def write_results(self, results: dict[str, Any]) -> None:
        """All final numbers as JSON; a number that is not finite becomes null."""
        write_json(self.results_path, results)

    def is_done(self, fingerprint: str | None = None) -> bool:
        """Whether a training is finished here, with its results; if given, whether it is exactly this one."""
        status = self.read_status()
        right = fingerprint is None or status.get("fingerprint") == fingerprint
        return right and status.get("state") == "done" and self.results_path.is_file()

    @contextmanager
    def lock(self) -> Iterator[int | None]:
        """Hold the folder while training in it. Gives None, or the pid (0: unknown) of the process that holds it."""
        with locked(self.lock_path) as holder:
            yield holder

    def holder(self) -> int | None:
        """The pid of the process that is training here now (0: unknown), or None."""
        return holder_of(self.lock_path)

    def is_running(self) -> bool:
        """Whether its status is "running"."""
        return self.read_status().get("state") == "running"

    def request_end(self, reason: str) -> None:
        """Requests that the training in this folder ends early; the run is then "pruned", with this reason."""
        write_text(self.end_path, reason)

    def end_reason(self) -> str | None:
        """The reason of a request to end the training early; None without a request."""
        try:
            return read_text(self.end_path)
        except FileNotFoundError:
            return None
