"""Trains runs in child processes of this machine: one after another, or several in parallel."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from lightdet.core.cores import cores
from lightdet.core.errors import demand_whole
from lightdet.runs.folder import RunFolder
from lightdet.study.launcher.queue import Queue
from lightdet.study.machine import gpus, workers_that_fit
from lightdet.study.process_end import last_sign, note_failure, note_process_end, out_of_memory_kills
from lightdet.study.worker import DUMP_STACKS, HELD, STACKS, Share, child

LOOK_AGAIN = 1.0  # seconds between two checks of the children and of runs of other processes
LEAVE = 30.0  # seconds for a child to write its last checkpoint after Ctrl-C


@dataclass(slots=True)
class _Child:
    folder: RunFolder
    slot: int
    process: BaseProcess
    kills_before: int
    started: float = field(default_factory=time.monotonic)
    seen: float = field(default_factory=time.monotonic)  # when its status file last changed
    sign: int = 0  # mtime of its status file then, ns

    def silence(self) -> float:
        """Seconds since its status file changed, by a monotonic clock, which pauses while the machine sleeps."""
        sign = self.folder.status_path.stat().st_mtime_ns
        if sign != self.sign:
            self.sign, self.seen = sign, time.monotonic()
        return time.monotonic() - self.seen


class Processes:
    """`workers` children at a time, each with its share of the CPU threads and, where there are GPUs, one of them.

    The death of a child does not affect the others: its run is recorded as killed, the next one starts. A run whose
    status does not change for `stall_minutes` is ended and recorded as failed, with the stack of each of its threads.
    """

    def __init__(
        self,
        workers: int | str = 1,
        threads: int | str | None = None,
        per_gpu: int = 1,
        stall_minutes: float | None = 30.0,
        log: bool = False,
    ) -> None:
        demand_whole("launcher.per_gpu", per_gpu, 1)
        demand_whole("launcher.workers", workers, 1, or_else="auto")
        if threads is not None:
            demand_whole("launcher.threads", threads, 1, or_else="auto")
        self.workers = workers
        self.threads = threads
        self.per_gpu = per_gpu
        self.stall_seconds = None if stall_minutes is None else 60.0 * stall_minutes
        self.log = log

    def run(self, folders: Sequence[RunFolder], train: str, stop_on_error: bool) -> None:
        """See the contract."""
        queue = Queue(folders, stop_on_error)
        if not queue:
            return
        at_a_time = workers_that_fit(len(queue), self.per_gpu) if self.workers == "auto" else int(self.workers)
        threads = max(1, cores() // at_a_time) if self.threads == "auto" else self.threads
        free = list(range(at_a_time))[::-1]
        children: list[_Child] = []
        context = _context(train)
        try:
            while queue or children:
                while free and (folder := queue.take()) is not None:
                    slot = free.pop()
                    gpu = gpus()[slot % len(gpus())] if at_a_time > 1 and gpus() else None
                    share = Share(int(threads) if threads else None, gpu, self.log)
                    queue.report_start(folder)
                    children.append(self._start(context, folder, train, share, slot))
                wait([one.process.sentinel for one in children], timeout=LOOK_AGAIN) if children else _pause()
                for one in [one for one in children if one.process.exitcode is not None]:
                    children.remove(one)
                    free.append(one.slot)
                    if self._settle(one) == HELD:
                        queue.defer(one.folder)
                    else:
                        queue.report_end(one.folder, one.started)
                for one in children:
                    self._end_if_stalled(one)
                queue.take_over()
        except KeyboardInterrupt:
            self._leave(children)
            raise

    def _start(self, context: Any, folder: RunFolder, train: str, share: Share, slot: int) -> _Child:
        kills = out_of_memory_kills()
        process = context.Process(target=child, args=(str(folder.path), train, share, dict(os.environ)))
        process.start()
        return _Child(folder, slot, process, kills)

    def _settle(self, one: _Child) -> int:
        """Records an end that the child could not record; returns the exit code."""
        code = one.process.exitcode
        one.process.join()
        assert code is not None
        if code == HELD:
            return code
        note_process_end(one.folder, code, one.kills_before)
        (one.folder.path / STACKS).unlink(missing_ok=True)
        return code

    def _end_if_stalled(self, one: _Child) -> None:
        if self.stall_seconds is None or one.process.pid is None or one.process.exitcode is not None:
            return
        with contextlib.suppress(OSError):
            if one.silence() < self.stall_seconds:
                return
            stacks = one.folder.path / STACKS
            if DUMP_STACKS is not None:
                os.kill(one.process.pid, DUMP_STACKS)
                _pause()
            text = stacks.read_text(encoding="utf-8") if stacks.exists() else ""
            one.process.kill()
            one.process.join()
            reason = f"it hung: no status update for {self.stall_seconds / 60:g} min (launcher.stall_minutes)"
            details = f"{reason}; {last_sign(one.folder.read_status())}\n{text}"
            note_failure(one.folder, "failed", reason, details)

    def _leave(self, children: list[_Child]) -> None:
        """After Ctrl-C, which the children receive too: interrupts a child that still runs, then kills it; at a second
        Ctrl-C at once. Without its end the interpreter would wait for it for ever."""
        with contextlib.suppress(KeyboardInterrupt):
            _join(children, LEAVE / 6)
            for one in children:
                if one.process.exitcode is None and one.process.pid is not None:
                    os.kill(one.process.pid, signal.SIGINT)
            _join(children, LEAVE)
        for one in children:
            one.process.kill()
        for one in children:
            one.process.join()
            if one.folder.is_running():
                one.folder.write_status("killed", reason="interrupted")


def _join(children: Sequence[_Child], seconds: float) -> None:
    until = time.monotonic() + seconds
    for one in children:
        one.process.join(max(0.0, until - time.monotonic()))


def _context(train: str) -> Any:
    """Children are forked from a server that has imported the training once, where the system can fork."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lightdet.study.worker", train.partition(":")[0]])
    return context


def _pause() -> None:
    time.sleep(LOOK_AGAIN)
