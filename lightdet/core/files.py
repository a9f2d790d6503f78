"""Atomic reads and writes, and locks that end with the process that holds them. No torch here."""

import csv
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.reading import MOST_BYTES, read_regular, read_text

posix: Any
try:
    import fcntl as posix
except ImportError:  # a system without POSIX locks: two processes in one folder are not detected then
    posix = None
DEEPEST = 40  # levels of a JSON file; ours have six
MOST_COLUMNS = 10_000  # of a metrics.csv
_held: set[str] = set()  # locks of this process: opening such a file once more would drop its lock


def holder_of(path: Path) -> int | None:
    """The pid of the process that holds the lock of a file (0: unknown), or None."""
    if os.path.realpath(path) in _held:
        return os.getpid()
    if path.is_symlink() or not path.is_file():
        return None
    with locked(path, shared=True) as holder:
        return holder


@contextmanager
def locked(path: Path, wait: bool = False, shared: bool = False) -> Iterator[int | None]:
    """Lock a file while the block runs. Gives None when this process has it, or the pid (0: unknown) that does.

    A POSIX record lock: the system drops it when the process dies, kill -9 included, and the loader's forked workers
    do not inherit it (with flock an orphaned worker would keep a dead run locked). Raises LightdetError where the lock
    is no regular file: through a link another file would be emptied, and a FIFO is waited for.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise LightdetError(f"{path}: a lock is a regular file, not this; remove it")
    if posix is None:
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(
        path, "r" if shared else "a+", encoding="ascii", errors="replace"
    ) as file:  # a check needs no write access
        if not _take(file, wait, shared):
            file.seek(0)
            pid = file.read(32).strip()
            yield int(pid) if pid.isdecimal() else 0
            return
        if shared:
            yield None
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _held.add(os.path.realpath(path))
        try:
            yield None
        finally:
            _held.discard(os.path.realpath(path))


def _take(file: Any, wait: bool, shared: bool) -> bool:
    """Whether the lock was acquired; waits up to a second for a reader to release it."""
    kind = posix.LOCK_SH if shared else posix.LOCK_EX
    if wait:
        posix.lockf(file, kind)
        return True
    for attempt in range(1 if shared else 5):
        try:
            posix.lockf(file, kind | posix.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            time.sleep(0.0 if shared else 0.05 * (attempt + 1))
    return False


def sha256_of(file: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def now() -> str:
    """The time as ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_json(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """A JSON object from disk; {} when there is no such file.

    Raises LightdetError for one that is broken, no object, nested more than `DEEPEST` levels or above `most` bytes.
    """
    try:
        value = json.loads(read_regular(path, most))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise LightdetError(f"{path}: not readable as JSON ({error}); delete it or its run folder") from None
    if not isinstance(value, dict) or _is_deep(value):
        wrong = (
            "nested too deep" if isinstance(value, dict) else f"a {type(value).__name__} where an object is expected"
        )
        raise LightdetError(f"{path}: {wrong}; delete it or its run folder")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        values = (part for each in level for part in (each.values() if isinstance(each, dict) else each))
        level = [part for part in values if isinstance(part, dict | list)]
    return bool(level)


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics.csv, one per epoch; [] where there is none. An empty string: not measured in that epoch.

    Raises LightdetError for a file that is no table.
    """
    try:
        rows = csv.DictReader(io.StringIO(read_text(path), newline=""), restval="")
        if len(rows.fieldnames or ()) > MOST_COLUMNS:
            raise LightdetError(f"{path}: more than {MOST_COLUMNS} columns; this is not the metrics.csv of a run")
        return [{name: cell for name, cell in row.items() if name is not None} for row in rows]
    except FileNotFoundError:
        return []
    except csv.Error as error:
        raise LightdetError(f"{path}: not readable as CSV ({error}); delete it") from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object so that a reader sees the old file or the whole new one, whenever the writer dies."""
    write_text(path, json.dumps(plain(value, numbers=False), indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; missing folders are made."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))  # names of files may hold bytes that are no text


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file atomically; missing folders are made. A disk that is full gets its space back, and the error names
    the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of an earlier process with the same number, or a link that leads elsewhere
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno is not None:  # without a number the message would be lost
            error.filename = error.filename or str(path)
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Gives an empty folder whose files replace those of the same names in `folder` when the block ends without error.

    Until then, and after an error or a kill, `folder` holds what stood there before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".new-*.tmp"):
        if not _is_alive(left.name.removeprefix(".new-").removesuffix(".tmp")):
            shutil.rmtree(left, ignore_errors=True)
    new = folder / f".new-{os.getpid()}.tmp"
    if new.is_symlink():
        new.unlink()
    shutil.rmtree(new, ignore_errors=True)  # of an earlier process with the same number
    new.mkdir()
    try:
        yield new
        for path in sorted(new.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _is_alive(pid: str) -> bool:
    if posix is None or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True


def plain(value: Any, numbers: bool = True) -> Any:
    """JSON's own types: arrays and tensors become lists, not-finite becomes None, 2.0 becomes 2 if `numbers`."""
    if isinstance(value, dict):
        return {str(key): plain(item, numbers) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, numbers) for item in value]
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        return int(value) if numbers and value.is_integer() else value
    if value is None or isinstance(value, str | int):
        return value
    if hasattr(value, "tolist"):  # numpy and torch, arrays and scalars
        return plain(value.tolist(), numbers)
    return str(value)
