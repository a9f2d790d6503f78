"""Trains runs on the nodes of a Ray cluster, without a shared disk. No torch here.

The driver (the process of the command) locks the runs that it submits and keeps their folders: a node sends its files
to the driver while it trains, so that the death of a node costs the time since its last checkpoint was sent. Retries
are not left to Ray, because a retry must start from the files that the driver has by then.
"""

import contextlib
import importlib.util
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lightdet.core.errors import LightdetError, one_line
from lightdet.runs.folder import RunFolder
from lightdet.study.launcher.queue import Queue
from lightdet.study.launcher.ray_cluster import RayCluster
from lightdet.study.launcher.ray_node import train_on_node
from lightdet.study.launcher.transfer import Files, files_for_node, unpack_on_driver
from lightdet.study.process_end import last_sign, note_failure

LOOK_AGAIN = 1.0  # seconds between two checks of the mailbox
LEAVE = 45.0  # seconds for the nodes to send their last checkpoints after Ctrl-C
LAST_PARTS = 3  # of a run's path, which it keeps on a node: study, choices, seed


@dataclass(slots=True)
class _Attempt:
    """One attempt at training one run."""

    folder: RunFolder
    number: int
    lock: contextlib.ExitStack
    task: Any = None
    started: float = field(default_factory=time.monotonic)
    seen: float | None = None  # time.monotonic() of the last message; None: no node has started

    @property
    def sender(self) -> str:
        return f"{self.number} {self.folder.path}"


class Ray:
    """Each run is a task of Ray's with `cpus`, `gpus` and `memory_gb`; conf/launcher/ray.yaml lists the other settings.

    Raises LightdetError for a cluster that does not answer, or of which no node is large enough.
    """

    def __init__(
        self,
        address: str = "auto",
        cpus: float = 1,
        gpus: float = 0,
        memory_gb: float | None = None,
        at_once: int = 64,
        retries: int = 3,
        send_seconds: float = 60.0,
        modules: Sequence[str] = ("lightdet",),
        stall_minutes: float | None = 30.0,
    ) -> None:
        for name, value, least in (
            ("cpus", cpus, 0),
            ("gpus", gpus, 0),
            ("at_once", at_once, 1),
            ("retries", retries, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
                raise LightdetError(f"launcher.{name}={value}: a number from {least} on")
        if importlib.util.find_spec("ray") is None:
            raise LightdetError("launcher=ray needs the package ray: pip install '.[ray]' in the clone")
        needs = {"CPU": float(cpus), "GPU": float(gpus), "memory": (memory_gb or 0) * 2**30}
        self.cluster = RayCluster(address, needs, list(modules))
        self.at_once = at_once
        self.retries = retries
        self.send_seconds = send_seconds
        self.stall_minutes = stall_minutes

    def run(self, folders: Sequence[RunFolder], train: str, stop_on_error: bool) -> None:
        """See the contract."""
        queue = Queue(folders, stop_on_error)
        if not queue:
            return
        with self.cluster.connected() as mailbox:
            self._train(queue, train, mailbox)

    def _train(self, queue: Queue, train: str, mailbox: Any) -> None:
        import ray

        attempts: list[_Attempt] = []
        fits = time.monotonic()
        try:
            while queue or attempts:
                while len(attempts) < self.at_once and (folder := queue.take()) is not None:
                    lock = contextlib.ExitStack()
                    if lock.enter_context(folder.lock()) is not None:
                        lock.close()
                        queue.defer(folder)
                        continue
                    attempts.append(_Attempt(folder, 1, lock))
                    self._submit(attempts[-1], train, mailbox)
                tasks = [one.task for one in attempts]
                ended = ray.wait(tasks, timeout=LOOK_AGAIN, fetch_local=False)[0] if tasks else _pause()
                self._receive(attempts, queue, mailbox)
                for one in [one for one in attempts if one.task in ended]:
                    if not self._settle(one):
                        one.number += 1
                        self._submit(one, train, mailbox)
                        continue
                    attempts.remove(one)
                    one.lock.close()
                    queue.report_end(one.folder, one.started)
                for one in attempts:
                    self._end_if_silent(one)
                    if queue.stopped and one.seen is None:
                        ray.cancel(one.task)
                fits = time.monotonic() if self.cluster.fits() else fits
                if self.stall_minutes is not None and time.monotonic() - fits > 60 * self.stall_minutes:
                    raise LightdetError(f"no node with the resources of a run has come back: {self.cluster.offer()}")
                queue.take_over()
        finally:
            self._leave(attempts, queue, mailbox)

    def _submit(self, one: _Attempt, train: str, mailbox: Any) -> None:
        import ray

        one.seen = None
        one.folder.write_status("queued")
        task = ray.remote(train_on_node).options(
            name=f"lightdet {one.folder.path}",
            num_cpus=self.cluster.needs["CPU"],
            num_gpus=self.cluster.needs["GPU"],
            memory=int(self.cluster.needs["memory"]) or None,
            max_retries=0,
        )
        parts = one.folder.path.absolute().parts[-LAST_PARTS:]
        threads = max(1, int(self.cluster.needs["CPU"]))
        settings = (train, threads, self.send_seconds, self.stall_minutes, mailbox)
        one.task = task.remote(one.sender, parts, files_for_node(one.folder), *settings)

    def _receive(self, attempts: Sequence[_Attempt], queue: Queue, mailbox: Any) -> None:
        """Writes what the nodes have sent into the run folders; files of an abandoned attempt are dropped."""
        import ray

        received: dict[str, Files] = ray.get(mailbox.take.remote())
        for one in attempts:
            if one.sender not in received:
                continue
            if one.seen is None and one.number == 1:
                queue.report_start(one.folder, " starts on a node")
            elif one.seen is None:
                print(f"lightdet: {one.folder.path} continues on another node, attempt {one.number}", flush=True)
            one.seen = time.monotonic()
            self._keep(one, received[one.sender])

    def _keep(self, one: _Attempt, files: Files) -> bool:
        import ray

        try:
            unpack_on_driver(one.folder, files)
        except LightdetError as error:
            note_failure(one.folder, "failed", one_line(error), traceback.format_exc())
            ray.cancel(one.task, force=True)
            return False
        return True

    def _settle(self, one: _Attempt) -> bool:
        """Records the end of a task. False when its node died and the task is to be submitted again."""
        import ray

        try:
            self._keep(one, ray.get(one.task))
        except ray.exceptions.TaskCancelledError:
            self._note_cancelled(one)
        except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
            reason = f"the node could not train: {one_line(getattr(error, 'cause', None) or error)}"
            note_failure(one.folder, "failed", reason, str(error))
        except ray.exceptions.RayError as error:
            status = one.folder.read_status()
            if status.get("state") == "failed":  # recorded by the driver
                return True
            reason = f"lost with its node ({type(error).__name__}); {last_sign(status)}"
            if one.number <= self.retries:
                print(
                    f"lightdet: {one.folder.path} was {reason}; another node continues from its last sent files",
                    flush=True,
                )
                return False
            note_failure(one.folder, "killed", reason, str(error))
        return True

    def _note_cancelled(self, one: _Attempt) -> None:
        if one.folder.is_running():
            one.folder.write_status("killed", reason="interrupted")

    def _end_if_silent(self, one: _Attempt) -> None:
        """Ends an attempt whose node hangs; a training that hangs is ended by its node."""
        import ray

        if self.stall_minutes is None or one.seen is None or one.folder.read_status().get("state") == "failed":
            return
        if time.monotonic() - one.seen > 60 * self.stall_minutes + LEAVE:
            reason = f"no message from its node for {self.stall_minutes:g} min (launcher.stall_minutes)"
            note_failure(one.folder, "failed", reason, f"{reason}; {last_sign(one.folder.read_status())}\n")
            ray.cancel(one.task, force=True)

    def _leave(self, attempts: Sequence[_Attempt], queue: Queue, mailbox: Any) -> None:
        """After Ctrl-C: lets the nodes end in order and send their files, then ends them."""
        import ray

        try:
            until = time.monotonic() + LEAVE
            left = [one.task for one in attempts]
            for task in left:
                ray.cancel(task)
            while left and time.monotonic() < until:
                left = ray.wait(left, num_returns=len(left), timeout=LOOK_AGAIN, fetch_local=False)[1]
                self._receive(attempts, queue, mailbox)
            for task in left:
                ray.cancel(task, force=True)
        finally:
            for one in attempts:
                self._note_cancelled(one)
                one.lock.close()


def _pause() -> list[Any]:
    time.sleep(LOOK_AGAIN)
    return []
