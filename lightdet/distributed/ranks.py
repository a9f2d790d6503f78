"""The processes (ranks) that train one run together: rank 0 starts them, and they end with it.

Rank 0 opens a TCPStore, starts the others of this machine as `python -m lightdet.engine.rank RUN_FOLDER`, sends all
of them the configuration, waits until they are ready, and forms one process group (gloo on a CPU, nccl on CUDA).
Where torchrun or Slurm has started every rank already, it starts none. A rank that raises reports the reason, and
rank 0 ends with that reason instead of the broken connection that follows.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from signal import Signals
from typing import IO

import torch
from omegaconf import DictConfig
from torch import distributed
from torch.distributed import PrefixStore, Store, TCPStore

from lightdet.core.errors import LightdetError, demand_whole
from lightdet.core.outside import EndedFromOutside
from lightdet.distributed.world import PARENT, World, world_from

PLAN, FAILED = "plan", "failed"  # keys of the store: the configuration; why a rank failed
COLLECTIVE = timedelta(minutes=20)  # how long one rank may keep the others waiting
MEET_SECONDS = 1200  # for all ranks to read their data and build their model
REASON_SECONDS = 10  # for the reason behind a broken connection
LEAVE_SECONDS = 30  # for the other ranks to end after rank 0 is through
POLL_SECONDS = 0.1


def rank_count(settings: DictConfig, device: torch.device) -> int:
    """Processes of a training, trainer.devices x trainer.nodes. Raises LightdetError for what this machine lacks."""
    for name in ("devices", "nodes"):
        demand_whole(f"trainer.{name}", settings[name], 1)
    devices = settings.devices
    if devices > 1 and device.type == "cuda" and torch.cuda.device_count() < devices:
        raise LightdetError(f"trainer.devices={devices}: torch sees {torch.cuda.device_count()} CUDA devices here")
    count: int = devices * settings.nodes
    if count > 1 and device.type not in ("cpu", "cuda"):
        raise LightdetError(f"trainer.devices={devices}: several ranks need cuda or cpu, not {device.type}")
    return count


def world_of_rank_zero(settings: DictConfig, count: int) -> World:
    """The world of rank 0 of `count` ranks. Raises LightdetError for several nodes whose ranks were not started."""
    given = world_from(os.environ)
    if given is not None and given.ranks == count and given.rank == 0:
        return given
    if settings.nodes > 1:
        raise LightdetError(
            f"trainer.nodes={settings.nodes}: the ranks of other machines must be started from outside, one task per "
            f"device: srun --nodes={settings.nodes} --ntasks-per-node={settings.devices}, or torchrun"
        )
    return World(ranks=count)


@contextmanager
def rank_zero(settings: DictConfig, device: torch.device, folder: Path, plan: str) -> Iterator[World]:
    """Acts as rank 0 of trainer.devices x trainer.nodes while the block runs; for one rank gives the default world.

    `settings` is the configuration's `trainer`; `plan` is the text sent to the other ranks. The CPU threads of this
    process are divided among the ranks of this machine. Raises LightdetError with the rank that failed and its reason.
    """
    count = rank_count(settings, device)
    if count == 1:
        yield World()
        return
    world = world_of_rank_zero(settings, count)
    started = world.port == 0
    host = not world.hosted
    store = TCPStore(world.address, world.port, is_master=host, wait_for_workers=False, timeout=COLLECTIVE)
    world = replace(world, port=store.port)
    threads = torch.get_num_threads()
    share = max(1, threads // settings.devices) if started else threads
    ranks = Ranks(store)
    done = threading.Event()
    try:
        with environment({"OMP_NUM_THREADS": str(share)}):
            torch.set_num_threads(share)
            store.set(PLAN, plan)
            if started:
                ranks.start(world, folder)
            ranks.wait_until_ready(count)
            join(store, world, device)
            if device.type == "cuda":
                threading.Thread(target=ranks.free_when_one_ends, args=(done,), daemon=True).start()
            yield world
            leave()
            ranks.finish()
    except RuntimeError as error:
        fault = ranks.fault(REASON_SECONDS)
        if fault is None:
            raise
        raise fault from (fault.__cause__ or error)
    finally:
        done.set()
        ranks.kill()
        leave(abort=device.type == "cuda")
        torch.set_num_threads(threads)


class Ranks:
    """The ranks that this process has started, and what any rank has reported in the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.errors: dict[int, IO[bytes]] = {}  # their standard error

    def start(self, world: World, folder: Path) -> None:
        """Start ranks 1, 2, ... of this machine with this interpreter, these import paths and this environment."""
        paths = os.pathsep.join(path for path in sys.path if path)
        for rank in range(1, world.ranks):
            own = replace(world, rank=rank, local_rank=rank).variables()
            self.errors[rank] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `kill`
            self.processes[rank] = subprocess.Popen(
                [sys.executable, "-P", "-m", "lightdet.engine.rank", str(folder)],
                env={**os.environ, **own, "PYTHONPATH": paths, PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors[rank],
            )

    def wait_until_ready(self, count: int) -> None:
        """Waits for all ranks. Raises LightdetError for a rank that failed, or was not ready in time."""
        missing = list(range(1, count))
        deadline = time.monotonic() + MEET_SECONDS
        while missing := [rank for rank in missing if not self.store.check([_ready(rank)])]:
            fault = self.fault()
            if fault is not None:
                raise fault
            if time.monotonic() > deadline:
                names = ", ".join(map(str, missing))
                raise LightdetError(f"rank {names} of {count} did not connect within {MEET_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def fault(self, seconds: float = 0.0) -> LightdetError | None:
        """The reason why another rank has ended, or ends within that time; None where none does."""
        deadline = time.monotonic() + seconds
        while (fault := self._killed() or self._reported() or self._vanished()) is None:
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_SECONDS)
        return fault

    def _killed(self) -> LightdetError | None:
        for rank, process in self.processes.items():
            code = process.poll()
            if code is not None and code < 0:
                return EndedFromOutside(
                    f"rank {rank} of this training was ended by {Signals(-code).name} from outside (SIGKILL may be the "
                    "system's reaction to too little memory); the same command continues from the last checkpoint"
                )
        return None

    def _reported(self) -> LightdetError | None:
        with suppress(RuntimeError):  # a store that is gone
            if self.store.check([FAILED]):
                report = json.loads(self.store.get(FAILED))
                fault = LightdetError(f"rank {report['rank']} of this training: {report['reason']}")
                fault.__cause__ = RuntimeError(report["traceback"])
                return fault
        return None

    def _vanished(self) -> LightdetError | None:
        for rank, process in self.processes.items():
            if process.poll():
                self.errors[rank].seek(0)
                text = self.errors[rank].read().decode(errors="replace").strip()
                fault = LightdetError(
                    f"rank {rank} of this training ended with exit code {process.returncode}: "
                    f"{text.splitlines()[-1] if text else 'no message'}"
                )
                fault.__cause__ = RuntimeError(text)
                return fault
        return None

    def free_when_one_ends(self, done: threading.Event) -> None:
        """Aborts the nccl group when a rank has died: nccl would wait for it for ever in a collective."""
        while not done.wait(1.0):
            if any(process.poll() for process in self.processes.values()):
                if not done.wait(REASON_SECONDS):
                    leave(abort=True)
                return

    def finish(self) -> None:
        """Waits until the other ranks have ended, for a limited time."""
        deadline = time.monotonic() + LEAVE_SECONDS
        while any(process.poll() is None for process in self.processes.values()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """Kills the started processes that still run."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        for file in self.errors.values():
            file.close()


def follow(world: World, prepare: Callable[[str], tuple[torch.device, Callable[[], None]]]) -> int:
    """Acts as a rank other than 0: `prepare(plan)` returns the device and the work that all ranks do together.

    Returns the exit code. Errors are reported to rank 0.
    """
    store = TCPStore(world.address, world.port, is_master=False, timeout=timedelta(seconds=MEET_SECONDS))
    try:
        device, work = prepare(store.get(PLAN).decode())
        store.set(_ready(world.rank), "")
        join(store, world, device)
        work()
        leave()
    except Exception as error:
        text = " ".join(str(error).split())
        reason = text if isinstance(error, LightdetError) else f"{type(error).__name__}: {text}"
        report = {"rank": world.rank, "reason": reason, "traceback": traceback.format_exc()}
        with suppress(RuntimeError):  # rank 0 is gone
            store.compare_set(FAILED, "", json.dumps(report))  # the first reason stays
        return 1
    return 0


def _ready(rank: int) -> str:
    return f"ready/{rank}"


def join(store: Store, world: World, device: torch.device) -> None:
    """Forms one process group with all ranks."""
    own = None
    if device.type == "cuda":
        own = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(own)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=PrefixStore("group", store),
        rank=world.rank,
        world_size=world.ranks,
        timeout=COLLECTIVE,
        device_id=own,
    )


def leave(abort: bool = False) -> None:
    """Leaves the process group, if there is one. `abort`: without waiting for communication in progress."""
    if not distributed.is_initialized():
        return
    if abort:
        distributed.distributed_c10d._abort_process_group()
    else:
        distributed.destroy_process_group()


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables while the block runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
