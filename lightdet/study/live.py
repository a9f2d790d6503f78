"""The state of a study as a table, refreshed while a run is trained. No torch here."""

import sys
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lightdet.core.errors import LightdetError
from lightdet.core.score import primary_of
from lightdet.core.shown import shown
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import Job, read_jobs
from lightdet.runs.table import choice_columns, same_as

REFRESH = 1.0  # seconds
COLOURS = {"done": "green", "pruned": "blue", "running": "cyan", "queued": "dim", "failed": "red", "killed": "yellow"}
WIDTH_OF_A_PIPE = 200  # characters


def show(study_path: Path) -> int:
    """Prints the table, refreshed in a terminal while a run is trained. Returns 0 when every job is settled, else 1."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE)
    jobs = read_jobs(study_path)
    if console.is_terminal and _running(jobs):
        with Live(console=console, auto_refresh=False) as live:
            try:
                while _running(jobs):
                    live.update(overview(study_path, jobs), refresh=True)
                    time.sleep(REFRESH)
                    jobs = read_jobs(study_path)
            except KeyboardInterrupt:  # ends the view, not the training
                pass
            live.update(overview(study_path, jobs), refresh=True)
    else:
        console.print(overview(study_path, jobs), soft_wrap=True)
    for job in jobs:
        if job.reason and job.state not in ("running", "pruned"):
            traceback = f" (traceback: {job.traceback})" if job.traceback else ""
            print(shown(f"{job.state.upper()} {job.name}: {job.reason}{traceback}"))
    return 0 if all(job.settled for job in jobs) else 1


def _running(jobs: list[Job]) -> bool:
    return any(job.state == "running" for job in jobs)


def overview(study_path: Path, jobs: list[Job]) -> Group:
    """The number of jobs by state, and the table."""
    counts = Counter(job.state for job in jobs)
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return Group(Text(f"{shown(study_path)}: {len(jobs)} jobs, {states}", no_wrap=True), table(study_path, jobs))


def table(study_path: Path, jobs: list[Job]) -> Table:
    """One line per job: its choices, state, epoch, best monitored value, time left."""
    lines = Table(box=None, pad_edge=False)
    columns = choice_columns(jobs)
    for name, _ in columns:
        lines.add_column(Text(shown(name)))
    for name in ("state", "epoch", "best", "left", "updated"):
        lines.add_column(name, justify="left" if name == "state" else "right")
    lines.add_column("")
    for job in jobs:
        choices = [Text(shown(read(job))) for _, read in columns]
        state = Text(job.state, style=COLOURS.get(job.state, "red"))
        note = same_as(job, jobs, columns) or (job.reason if job.state != "done" else "")
        lines.add_row(*choices, state, *progress(study_path, job), Text(shown(note), overflow="ellipsis", no_wrap=True))
    return lines


def progress(study_path: Path, job: Job) -> tuple[str, str, str, str]:
    """Epoch of epochs, best monitored value (of a finished run the primary score), time left, time since the update."""
    if job.state == "done":
        best = job.metric(primary_of(job.scores).key)
        return str(job.results.get("epochs", "")), "" if best is None else f"{best:.3f}", "", ""
    try:
        status = RunFolder(study_path / job.run).read_status() if job.run else {}
    except (LightdetError, OSError):
        return "", "", "", ""
    if "epoch" not in status:
        return "", "", "", ""
    best = status.get("best")
    epoch, value = f"{status['epoch']}/{status.get('epochs', '?')}", "" if best is None else f"{best:.3f}"
    if job.state != "running":
        return epoch, value, "", ""
    return epoch, value, _clock(_seconds_left(status)), _clock(_seconds_since(status.get("updated")))


def _seconds_left(status: Mapping[str, Any]) -> float | None:
    """Extrapolated from the share that this process has completed since it started."""
    share, at_start = status.get("share"), status.get("share_at_start", 0.0)
    spent, idle = _seconds_since(status.get("started")), _seconds_since(status.get("updated"))
    if not share or spent is None or idle is None or share <= at_start:
        return None
    return max(0.0, (spent - idle) * (1 - share) / (share - at_start) - idle)


def _seconds_since(moment: Any) -> float | None:
    try:
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(str(moment))).total_seconds())
    except (ValueError, TypeError, OverflowError):  # a time without a zone, or none at all
        return None


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
