"""What a job of Slurm's does: one run in a child process, and its end in order when its time is up. No torch here."""

import os
import signal
import time
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from lightdet.core.errors import one_line
from lightdet.runs.folder import RunFolder
from lightdet.study.launcher.processes import Processes

TIME_IS_UP = signal.SIGUSR2  # what submitit has Slurm send before a time limit, to all processes of the job
LEAVE = 30.0  # seconds that the training has to end in order
REQUEUED = "its job's time was up, or its place was needed: it waits to go on from its last checkpoint"


class Training:
    """A call that submitit can repeat: what has been trained lies in the run folder, so it goes on from there.

    The training is a process of its own, so that Slurm's warning reaches this one alone, which ends the training in
    order and has the job put back into the queue.
    """

    def __init__(self, path: Path, train: str, threads: int, stall_minutes: float | None) -> None:
        self.path = path
        self.train = train
        self.threads = threads
        self.stall_minutes = stall_minutes

    def __call__(self) -> str:
        """Train, and give the run's state; at once when the run is done, or when another process trains it."""
        folder = RunFolder(self.path)
        if folder.holder() is None:
            _start_deaf_server()
            try:
                launcher = Processes(workers=1, threads=self.threads, stall_minutes=self.stall_minutes, log=True)
                launcher.run([folder], self.train, stop_on_error=False)
            except Exception as error:  # submitit: this was the last time that it may be requeued
                if folder.read_status().get("state") in ("queued", "running"):
                    folder.write_status("killed", reason=one_line(error))
        return str(folder.read_status().get("state"))

    def checkpoint(self) -> Any:
        """submitit calls this when time is up: the same call again."""
        from submitit.helpers import DelayedSubmission

        folder = RunFolder(self.path)
        end_training(folder, LEAVE)
        if folder.read_status().get("state") in ("running", "killed"):
            folder.write_status("queued", reason=REQUEUED)
        return DelayedSubmission(self)


def end_training(folder: RunFolder, seconds: float) -> None:
    """Interrupt the process that trains in a folder on this machine; end it if it is still there after `seconds`."""
    until = time.monotonic() + seconds
    send = signal.SIGINT
    while pid := folder.holder():
        try:
            os.kill(pid, send)
        except ProcessLookupError:
            return
        pause = time.monotonic() + (seconds if send == signal.SIGINT else 1.0)
        while folder.holder() == pid and time.monotonic() < pause:
            time.sleep(0.1)
        if time.monotonic() >= until:
            send = signal.SIGKILL


def _start_deaf_server() -> None:
    """Start the process that children are forked from with the warning blocked, which would end a training at once."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {TIME_IS_UP})
    forkserver.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
