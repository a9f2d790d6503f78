"""The state of a study as a table that lives while something is training. No torch here."""

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
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import Row, read_rows
from lightdet.runs.table import choice_columns, same_as

REFRESH = 1.0  # seconds
COLOURS = {"done": "green", "pruned": "blue", "running": "cyan", "queued": "dim", "failed": "red", "killed": "yellow"}
WIDTH_OF_A_PIPE = 200  # characters


def show(study_path: Path) -> int:
    """Print the table, again and again while a terminal looks on and something runs; 0 when every row is settled."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE)
    rows = read_rows(study_path)
    if console.is_terminal and _running(rows):
        with Live(console=console, auto_refresh=False) as live:
            try:
                while _running(rows):
                    live.update(overview(study_path, rows), refresh=True)
                    time.sleep(REFRESH)
                    rows = read_rows(study_path)
            except KeyboardInterrupt:  # ends the looking, not the training
                pass
            live.update(overview(study_path, rows), refresh=True)
    else:
        console.print(overview(study_path, rows), soft_wrap=True)
    for row in rows:
        if row.reason and row.state not in ("running", "pruned"):
            place = f" (traceback: {row.traceback})" if row.traceback else ""
            print(f"{row.state.upper()} {row.name}: {row.reason}{place}")
    return 0 if all(row.settled for row in rows) else 1


def _running(rows: list[Row]) -> bool:
    return any(row.state == "running" for row in rows)


def overview(study_path: Path, rows: list[Row]) -> Group:
    """How many rows are in which state, and the table."""
    counts = Counter(row.state for row in rows)
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return Group(Text(f"{study_path}: {len(rows)} rows, {states}", no_wrap=True), table(study_path, rows))


def table(study_path: Path, rows: list[Row]) -> Table:
    """One line per row: its choices, state, epoch, best monitored value, time left."""
    shown = Table(box=None, pad_edge=False)
    columns = choice_columns(rows)
    for name, _ in columns:
        shown.add_column(name)
    for name in ("state", "epoch", "best", "left", "heard"):
        shown.add_column(name, justify="left" if name == "state" else "right")
    shown.add_column("")
    for row in rows:
        said = [str(read(row)) for _, read in columns]
        state = Text(row.state, style=COLOURS.get(row.state, "red"))
        note = same_as(row, rows, columns) or (row.reason if row.state != "done" else "")
        shown.add_row(*said, state, *progress(study_path, row), Text(note, overflow="ellipsis", no_wrap=True))
    return shown


def progress(study_path: Path, row: Row) -> tuple[str, str, str, str]:
    """Epoch of epochs, best monitored value, time left, time since the last sign of life."""
    if row.state == "done":
        best = row.metric("map50_95")
        return str(row.results.get("epochs", "")), "" if best is None else f"{best:.3f}", "", ""
    try:
        status = RunFolder(study_path / row.run).read_status() if row.run else {}
    except (LightdetError, OSError):
        return "", "", "", ""
    if "epoch" not in status:
        return "", "", "", ""
    best = status.get("best")
    epoch, value = f"{status['epoch']}/{status.get('epochs')}", "" if best is None else f"{best:.3f}"
    if row.state != "running":
        return epoch, value, "", ""
    return epoch, value, _clock(_seconds_left(status)), _clock(_seconds_since(status.get("updated")))


def _seconds_left(status: Mapping[str, Any]) -> float | None:
    """From the share that this process has done since it started."""
    share, at_start = status.get("share"), status.get("share_at_start", 0.0)
    spent, idle = _seconds_since(status.get("started")), _seconds_since(status.get("updated"))
    if not share or spent is None or idle is None or share <= at_start:
        return None
    return max(0.0, (spent - idle) * (1 - share) / (share - at_start) - idle)


def _seconds_since(moment: Any) -> float | None:
    try:
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(str(moment))).total_seconds())
    except ValueError:
        return None


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
