"""Records how the process of a run ended when it could not record that itself. No torch here."""

import contextlib
import re
import signal
from pathlib import Path

from lightdet.runs.folder import RunFolder
from lightdet.study.worker import INTERRUPTED, OUTSIDE

NOT_AT_FAULT = {  # exit codes of a process that could not record its end
    OUTSIDE: "a disk, its memory or its terminal failed it, and nothing could be recorded",
    INTERRUPTED: "interrupted",
    255: "the process that started it has ended",  # what multiprocessing gives for a fork server that is gone
}
OUT_OF_MEMORY_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


def out_of_memory_kills() -> int:
    """Number of processes that the kernel has killed for lack of memory; 0 where it does not report it."""
    total = 0
    for path in OUT_OF_MEMORY_COUNTERS:
        with contextlib.suppress(OSError):
            total += sum(int(count) for count in re.findall(r"^oom_kill (\d+)", path.read_text(), re.MULTILINE))
    return total


def note_process_end(folder: RunFolder, exit_code: int, kills_before: int) -> None:
    """Records a process that ended without recording it: by a signal, an interruption or what is no fault of the run as
    "killed", by another exit code as "failed". A record that finds no space is left out, which reads as killed.

    A killed run continues from its last checkpoint when its study is continued; a failed one is retried on request.
    `kills_before`: out_of_memory_kills() before the process was started.
    """
    status = folder.read_status()
    if status.get("state") not in ("running", "queued") or folder.holder() is not None:  # it may outlive its server
        return
    reason = _reason(exit_code, out_of_memory_kills() > kills_before)
    details = f"{reason}; {last_sign(status)}\n"
    if folder.log_path.exists():
        details += f"the last lines of {folder.log_path}:\n{_tail(folder.log_path)}\n"
    killed = exit_code < 0 or exit_code in NOT_AT_FAULT
    with contextlib.suppress(OSError):
        note_failure(folder, "killed" if killed else "failed", reason, details)


def note_failure(folder: RunFolder, state: str, reason: str, details: str) -> None:
    """Writes `details` in place of a traceback, and the status."""
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.traceback_path.write_text(details, encoding="utf-8")
    folder.write_status(state, reason=reason, traceback=str(folder.traceback_path))


def last_sign(status: dict[str, object]) -> str:
    """The position of a run at its last heartbeat."""
    if "epoch" not in status:
        return "it had not finished a batch"
    return f"last heartbeat in epoch {status['epoch']} of {status.get('epochs')}, step {status.get('step')}"


def _reason(exit_code: int, out_of_memory: bool) -> str:
    if exit_code in NOT_AT_FAULT:
        return NOT_AT_FAULT[exit_code]
    if exit_code >= 0:
        return f"its process ended with exit code {exit_code} and no message"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = "unknown"
    if out_of_memory:
        return f"out of memory: the system killed it with signal {-exit_code} ({name})"
    return f"ended by signal {-exit_code} ({name})"


def _tail(path: Path, characters: int = 3000) -> str:
    return path.read_text(encoding="utf-8", errors="replace")[-characters:]
