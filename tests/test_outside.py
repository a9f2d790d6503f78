"""What the world does to a training is no failure: the run is killed, and the same command continues it."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from launcher_standin import claim
from omegaconf import DictConfig

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json
from lightdet.core.outside import EndedFromOutside, outside
from lightdet.engine.work import work
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.study.process_end import note_process_end
from lightdet.study.worker import INTERRUPTED, OUTSIDE

ROOT = Path(__file__).resolve().parent.parent


def raised(error: Exception, cause: BaseException | None = None, hidden: bool = False) -> Exception:
    """As after `raise error from cause`, or within the handling of the cause."""
    try:
        try:
            if cause is not None:
                raise cause
        except BaseException as first:
            raise error from (None if hidden else first)
        raise error
    except Exception as caught:
        return caught


def number(name: str) -> OSError:
    code = getattr(errno, name)
    return OSError(code, os.strerror(code), "/disk/last.ckpt")


def from_a_worker(error: Exception) -> Exception:
    """As torch raises an error of a process that loads images: as text."""
    return type(error)(f"Caught {type(error).__name__} in DataLoader worker process 0.\nOriginal Traceback\n{error}")


OURS = {
    "disk": (number("ENOSPC"), "the disk is full"),
    "quota": (number("EDQUOT"), "the disk quota is used up"),
    "size": (number("EFBIG"), "a file reached the largest size"),
    "terminal": (number("EIO"), "a disk or terminal does not answer"),
    "share": (number("ESTALE"), "a disk or share does not answer"),
    "pipe": (number("EPIPE"), "the reader of its output has ended"),
    "memory": (MemoryError(), "too little memory"),
    "wrapped": (raised(RuntimeError("csv"), raised(KeyError("x"), number("ENOSPC"))), "the disk is full"),
    "text": (RuntimeError("[Errno 28] No space left on device"), "the disk is full"),
    "worker": (from_a_worker(number("EIO")), "a disk or terminal does not answer"),
    "torch": (RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"), "a checkpoint could"),
    "killed worker": (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "the system killed"),
    "rank": (EndedFromOutside("rank 1 of this training was ended by SIGKILL"), "rank 1 of this"),
    "told": (LightdetError("image.png: cannot be read: [Errno 5] Input/output error"), "a disk or terminal"),
}
THEIRS = {
    "value": ValueError("loss is nan"),
    "data": LightdetError("no images in /x"),
    "missing": FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"),
    "permission": PermissionError(errno.EACCES, "Permission denied", "/x"),
    "hidden": raised(LightdetError("give another folder"), number("EIO"), hidden=True),
    "GPU": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "shared memory": RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. "),
}


@pytest.mark.parametrize("name", OURS)
def test_what_the_world_does_is_told_in_plain_words(name: str) -> None:
    error, words = OURS[name]
    told = outside(error)
    assert told is not None and told.startswith(words) and "\n" not in told


@pytest.mark.parametrize("name", THEIRS)
def test_what_a_person_has_to_mend_is_none_of_it(name: str) -> None:
    assert outside(THEIRS[name]) is None


def test_a_chain_of_causes_that_is_a_ring_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert outside(first) is None


def full(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """A training that finds the disk full, as does whoever wants to record that."""
    (folder.path / "results.json.1.tmp").touch()
    os.fsync = nothing_fits  # type: ignore[assignment]
    raise RuntimeError("the checkpoint cannot be written") from number("ENOSPC")


def nothing_fits(descriptor: object) -> None:
    raise number("ENOSPC")


def trained(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    return {"metrics": {"map50": 0.5}}


@pytest.mark.parametrize("room", [True, False], ids=["room for the record", "no byte left"])
def test_a_few_bytes_of_free_space_do_not_decide(room: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = claim(tmp_path / "study", 4)
    write_json(tmp_path / "study" / "jobs" / "row__s4.json", {"run": "row/s4"})
    monkeypatch.setattr(os, "fsync", os.fsync)  # put back after the test
    if room:
        monkeypatch.setattr(f"{__name__}.nothing_fits", os.fsync)
    with pytest.raises(RuntimeError):
        work(folder, f"{__name__}:full")
    monkeypatch.undo()
    (job,) = read_jobs(tmp_path / "study")
    assert job.state == "killed"
    if room:
        assert job.reason.startswith("the disk is full (OSError: [Errno 28] No space left on device: '/disk/last.ckpt'")
        assert "the checkpoint cannot be written" in folder.traceback_path.read_text()
    assert [path.name for path in folder.path.glob("*.tmp")] == ["results.json.1.tmp"], "of a process that was killed"
    work(folder, f"{__name__}:trained")
    assert folder.is_done() and not list(folder.path.glob("*.tmp"))


@pytest.mark.parametrize(
    ("code", "state"), [(OUTSIDE, "killed"), (INTERRUPTED, "killed"), (255, "killed"), (7, "failed")]
)
def test_a_process_that_could_not_record_its_end_says_it_by_its_exit_code(
    tmp_path: Path, code: int, state: str
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_status("running")
    note_process_end(folder, code, 0)
    assert folder.read_status()["state"] == state and folder.read_status()["reason"]


SIGNALLED = """
import os, signal, sys
from lightdet.core.outside import end_on_signals, exit_code_of_interruption, outside
number = getattr(signal, sys.argv[1])
if sys.argv[2:]:
    signal.signal(number, signal.SIG_IGN)
end_on_signals()
try:
    os.kill(os.getpid(), number)
    print("went on")
except KeyboardInterrupt as end:
    print(outside(SystemExit(1)), exit_code_of_interruption())
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("SIGTERM", "interrupted: it was asked to end (SIGTERM) 143"),
        ("SIGHUP", "interrupted: its terminal was closed (SIGHUP) 129"),
        ("SIGINT", "interrupted 130"),
        ("SIGHUP ignored", "went on"),
    ],
)
def test_signals_that_end_a_program_end_it_in_order(words: str, told: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SIGNALLED, *words.split()]
    assert signal.getsignal(signal.SIGINT) != signal.SIG_IGN
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == told
