"""The body of a Slurm job: trains one run in a child process, and requeues it at the time limit. No torch here."""

import os
import signal
import time
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from lightdet.config.trust import COMPOSED
from lightdet.core.errors import one_line
from lightdet.runs.folder import RunFolder
from lightdet.study.launcher.processes import Processes

TIME_IS_UP = signal.SIGUSR2  # sent by Slurm before a time limit to all processes of the job, as submitit requests
LEAVE = 30.0  # seconds for the training to end in order
REQUEUED = "its job reached the time limit or was preempted; it is queued to continue from its last checkpoint"


class Training:
    """A call that submitit can repeat: it continues from the files in the run folder.

    The training runs in a child process, so that Slurm's signal reaches this process alone, which ends the training in
    order and has the job requeued.
    """

    def __init__(self, path: Path, train: str, threads: int, stall_minutes: float | None) -> None:
        self.path = path
        self.train = train
        self.threads = threads
        self.stall_minutes = stall_minutes
        self.composed = os.environ.get(COMPOSED, "")  # `sbatch --export=NONE` would leave it behind

    def __call__(self) -> str:
        """Trains and returns the run's state; only returns it when the run is done, or another process trains it."""
        folder = RunFolder(self.path)
        os.environ[COMPOSED] = self.composed
        if folder.holder() is None:
            _start_fork_server()
            try:
                launcher = Processes(workers=1, threads=self.threads, stall_minutes=self.stall_minutes, log=True)
                launcher.run([folder], self.train, stop_on_error=False)
            except Exception as error:  # submitit: this was the last time that it may be requeued
                if folder.read_status().get("state") in ("queued", "running"):
                    folder.write_status("killed", reason=one_line(error))
        return str(folder.read_status().get("state"))

    def checkpoint(self) -> Any:
        """Ends the training and returns the same call again; submitit calls this at the time limit."""
        from submitit.helpers import DelayedSubmission

        folder = RunFolder(self.path)
        end_training(folder, LEAVE)
        if folder.read_status().get("state") in ("running", "killed"):
            folder.write_status("queued", reason=REQUEUED)
        return DelayedSubmission(self)


def end_training(folder: RunFolder, seconds: float) -> None:
    """Interrupts the process that trains in a folder on this machine; kills it if it still runs after `seconds`."""
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


def _start_fork_server() -> None:
    """Starts the fork server of the children with `TIME_IS_UP` blocked, which would end a training at once."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {TIME_IS_UP})
    forkserver.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
