"""A process that trains one run and exits: `python -m lightdet.study.worker RUN_FOLDER [--trust-modules]`.

Torch is imported by the training alone.
"""

import faulthandler
import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from lightdet.config.saved import read_config
from lightdet.config.trust import WORD, composed_here, needs_word
from lightdet.core.allocator import keep_memory
from lightdet.core.errors import Ended, LightdetError, one_line
from lightdet.core.openmp import sleep_at_barriers
from lightdet.core.output import guard_output
from lightdet.core.outside import end_on_signals, outside
from lightdet.core.shown import shown
from lightdet.core.temporary import settle_temporary_folder
from lightdet.distributed.world import world_from
from lightdet.engine.work import TRAINING, HeldElsewhere, work
from lightdet.runs.folder import RunFolder

FAILED, HELD, OUTSIDE, INTERRUPTED = 1, 3, 4, 130  # exit codes; 0: done, or ended on request
STACKS = ".stacks"  # in the run folder: stack traces that a hanging process writes on a signal
DUMP_STACKS = getattr(signal, "SIGUSR1", None)  # the signal for that


@dataclass(frozen=True, slots=True)
class Share:
    """Resources of this machine that a process may use."""

    threads: int | None = None  # of the CPU; None: torch's default
    gpu: str | None = None  # the one visible GPU, as CUDA_VISIBLE_DEVICES names it; None: all of them
    log: bool = False  # write to log.txt of the run folder, not to the terminal


def train_folder(folder: RunFolder, train: str = TRAINING) -> int:
    """Trains a registered run and returns the exit code; prints one line for an error."""
    try:
        work(folder, train)
    except HeldElsewhere:
        return HELD
    except Ended:
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        world = outside(error)
        end = f"was killed: {world}" if world else f"failed: {one_line(error)}"
        print(shown(f"lightdet: {folder.path} {end}"), file=sys.stderr, flush=True)
        return OUTSIDE if world else FAILED
    return 0


def child(path: str, train: str, share: Share, environment: Mapping[str, str]) -> None:
    """Body of a launcher's child process: one run within its share of the machine; it ends with its parent.

    `environment` is the parent's: a process forked from the fork server has an older one.
    """
    guard_output()
    end_on_signals()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    if share.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = share.gpu
    folder = RunFolder(path)
    if share.log:
        _write_to(folder.log_path)
    if share.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(share.threads)
        if train == TRAINING:
            import torch

            torch.set_num_threads(share.threads)
    stacks = folder.path / STACKS
    stacks.unlink(missing_ok=True)  # of a process that was killed, or a link that leads elsewhere
    with open(stacks, "x", encoding="utf-8") as file:
        if DUMP_STACKS is not None:
            faulthandler.register(DUMP_STACKS, file=file, all_threads=True)
        code = train_folder(folder, train)
        if DUMP_STACKS is not None:
            faulthandler.unregister(DUMP_STACKS)
    stacks.unlink(missing_ok=True)
    sys.exit(code)


def _end_with_parent() -> None:
    """Exits when the parent dies; otherwise an orphan would hold the run when the same command is given again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(FAILED)


def _write_to(log: Path) -> None:
    """Redirects all output of this process and its libraries to a file; a link or pipe there goes."""
    if os.path.lexists(log) and (log.is_symlink() or not log.is_file()):
        log.unlink()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def main(words: list[Any]) -> int:
    """The exit code: 0 done, 1 failed, 2 bad input, 3 another process trains there, 4 killed by what is no fault of the
    run, 130 interrupted."""
    guard_output()
    end_on_signals()
    settle_temporary_folder()
    trusts = words[1:] == [WORD]
    if (len(words) != 1 and not trusts) or not RunFolder(words[0]).request_path.exists():
        print("lightdet: give the folder of a registered run: it holds request.yaml", file=sys.stderr)
        return 2
    world = world_from(os.environ)
    if world is not None and world.rank > 0:  # srun or torchrun started this one beside a rank 0
        from lightdet.engine.fit import train_beside

        return train_beside(world, Path(words[0]), trusts)
    try:
        request = read_config(RunFolder(words[0]).request_path, trusts)
        with composed_here(needs_word(request) if trusts else ()):
            return train_folder(RunFolder(words[0]))
    except LightdetError as error:
        print(f"lightdet: {shown(one_line(error))}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sleep_at_barriers()
    keep_memory()
    sys.exit(main(sys.argv[1:]))
