"""Runs on the nodes of a Ray cluster, without a shared disk. No torch here.

The driver holds the locks of the runs it has handed over and keeps their folders: what a node writes comes home while
it trains, so that a node that dies costs the time since its last checkpoint was sent. Ray schedules; it does not retry,
because a retry has to begin with the files that are at home by then.
"""

import contextlib
import importlib.util
import logging
import os
import socket
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightdet.error import LightdetError
from lightdet.run import RunFolder
from lightdet.study.ending import last_sign, note_failure
from lightdet.study.launcher.parcel import Files, outfit, unpack_at_home
from lightdet.study.launcher.queue import Queue
from lightdet.study.launcher.ray_node import Mailbox, train_on_node
from lightdet.study.machine import cores
from lightdet.study.work import one_line

LOOK_AGAIN = 1.0  # seconds between two looks at the mailbox
CONNECT = 5.0  # seconds that a cluster has to answer
LEAVE = 45.0  # seconds that the nodes have to send their last checkpoints after Ctrl-C
LAST_PARTS = 3  # of a run's path, which it keeps on a node: study, choices, seed


@dataclass(slots=True)
class _Attempt:
    """One try at one run."""

    folder: RunFolder
    number: int
    lock: contextlib.ExitStack
    task: Any = None
    started: float = field(default_factory=time.time)
    heard: float | None = None  # time.monotonic() of the last news; None: no node has begun

    @property
    def sender(self) -> str:
        return f"{self.number} {self.folder.path}"


class Ray:
    """Each run is a task of Ray's with `cpus`, `gpus` and `memory_gb`; conf/launcher/ray.yaml tells the other settings.

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
            raise LightdetError("launcher=ray needs the package ray: pip install 'lightdet[ray]'")
        self.address = address
        self.needs = {"CPU": float(cpus), "GPU": float(gpus), "memory": (memory_gb or 0) * 2**30}
        self.at_once = at_once
        self.retries = retries
        self.send_seconds = send_seconds
        self.modules = list(modules)
        self.stall_minutes = stall_minutes

    def run(self, folders: Sequence[RunFolder], train: str, stop_on_error: bool) -> None:
        """See the contract."""
        queue = Queue(folders, stop_on_error)
        if not queue:
            return
        with self._connected() as mailbox:
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
                        queue.put_aside(folder)
                        continue
                    attempts.append(_Attempt(folder, 1, lock))
                    self._submit(attempts[-1], train, mailbox)
                tasks = [one.task for one in attempts]
                ended = ray.wait(tasks, timeout=LOOK_AGAIN, fetch_local=False)[0] if tasks else _nap()
                self._receive(attempts, queue, mailbox)
                for one in [one for one in attempts if one.task in ended]:
                    if not self._settle(one):
                        one.number += 1
                        self._submit(one, train, mailbox)
                        continue
                    attempts.remove(one)
                    one.lock.close()
                    queue.tell_end(one.folder, one.started)
                for one in attempts:
                    self._end_if_silent(one)
                    if queue.stopped and one.heard is None:
                        ray.cancel(one.task)
                fits = time.monotonic() if self._fits() else fits
                if self.stall_minutes is not None and time.monotonic() - fits > 60 * self.stall_minutes:
                    raise LightdetError(f"no node that could take a run has come back: {self._offer()}")
                queue.look_again()
        finally:
            self._leave(attempts, queue, mailbox)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        """A connection to the cluster; gives the mailbox, which lives on this machine."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        local = self.address == "local"
        if not local:
            _knock(self.address)
        try:
            ray.init(
                self.address,
                num_cpus=cores() if local else None,
                include_dashboard=False if local else None,
                runtime_env={"py_modules": [_code(name) for name in self.modules]} if self.modules else None,
                namespace="lightdet",
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise LightdetError(
                f"launcher.address={self.address}: no Ray cluster takes us ({one_line(error)})"
            ) from error
        try:
            if not self._fits():
                raise LightdetError(f"no node of the Ray cluster can take a run: {self._offer()}")
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            yield ray.remote(num_cpus=0)(Mailbox).options(scheduling_strategy=here).remote()
        finally:
            ray.shutdown()

    def _submit(self, one: _Attempt, train: str, mailbox: Any) -> None:
        import ray

        one.heard = None
        one.folder.write_status("queued")
        task = ray.remote(train_on_node).options(
            name=f"lightdet {one.folder.path}",
            num_cpus=self.needs["CPU"],
            num_gpus=self.needs["GPU"],
            memory=int(self.needs["memory"]) or None,
            max_retries=0,
        )
        place = one.folder.path.absolute().parts[-LAST_PARTS:]
        threads = max(1, int(self.needs["CPU"]))
        settings = (train, threads, self.send_seconds, self.stall_minutes, mailbox)
        one.task = task.remote(one.sender, place, outfit(one.folder), *settings)

    def _receive(self, attempts: Sequence[_Attempt], queue: Queue, mailbox: Any) -> None:
        """Put the news where they belong; those of an attempt that was given up are not news."""
        import ray

        letters: dict[str, Files] = ray.get(mailbox.take.remote())
        for one in attempts:
            if one.sender not in letters:
                continue
            if one.heard is None and one.number == 1:
                queue.tell_begin(one.folder, " begins on a node")
            elif one.heard is None:
                print(f"lightdet: {one.folder.path} goes on on another node, attempt {one.number}", flush=True)
            one.heard = time.monotonic()
            self._keep(one, letters[one.sender])

    def _keep(self, one: _Attempt, files: Files) -> bool:
        import ray

        try:
            unpack_at_home(one.folder, files)
        except LightdetError as error:
            note_failure(one.folder, "failed", one_line(error), traceback.format_exc())
            ray.cancel(one.task, force=True)
            return False
        return True

    def _settle(self, one: _Attempt) -> bool:
        """Bring the end of a task home. False when its node died and it is to be tried again."""
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
            if status.get("state") == "failed":  # by us
                return True
            reason = f"lost with its node ({type(error).__name__}); {last_sign(status)}"
            if one.number <= self.retries:
                print(
                    f"lightdet: {one.folder.path} was {reason}; it goes on elsewhere from what is at home", flush=True
                )
                return False
            note_failure(one.folder, "killed", reason, str(error))
        return True

    def _note_cancelled(self, one: _Attempt) -> None:
        if one.folder.read_status().get("state") == "running":
            one.folder.write_status("killed", reason="interrupted")

    def _end_if_silent(self, one: _Attempt) -> None:
        """The node itself ends a training that hangs; this is for a node that hangs."""
        import ray

        if self.stall_minutes is None or one.heard is None or one.folder.read_status().get("state") == "failed":
            return
        if time.monotonic() - one.heard > 60 * self.stall_minutes + LEAVE:
            reason = f"nothing heard of its node for {self.stall_minutes:g} min (launcher.stall_minutes)"
            note_failure(one.folder, "failed", reason, f"{reason}; {last_sign(one.folder.read_status())}\n")
            ray.cancel(one.task, force=True)

    def _leave(self, attempts: Sequence[_Attempt], queue: Queue, mailbox: Any) -> None:
        """After Ctrl-C: let the nodes end in order and send what they have, then end them."""
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

    def _fits(self) -> bool:
        return any(
            all(node.get("Resources", {}).get(name, 0.0) >= amount for name, amount in self.needs.items())
            for node in self._nodes()
        )

    def _nodes(self) -> list[dict[str, Any]]:
        import ray

        return [node for node in ray.nodes() if node.get("Alive")]

    def _offer(self) -> str:
        """What was asked for, and what there is."""
        asked = f"{self.needs['CPU']:g} CPUs, {self.needs['GPU']:g} GPUs, {self.needs['memory'] / 2**30:.1f} GiB"
        here = [node.get("Resources", {}) for node in self._nodes()]
        most = [max((node.get(name, 0.0) for node in here), default=0.0) for name in self.needs]
        return (
            f"it needs {asked} (launcher.cpus, gpus, memory_gb); the most of each among {len(here)} nodes is "
            f"{most[0]:g} CPUs, {most[1]:g} GPUs, {most[2] / 2**30:.1f} GiB"
        )


def _knock(address: str) -> None:
    """Raises LightdetError when nobody listens where a cluster should be: Ray itself would try for minutes."""
    if address == "auto":
        noted = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
        address = os.environ.get("RAY_ADDRESS") or (noted.read_text().strip() if noted.exists() else "")
        if not address:
            how = (
                "`ray start --head` begins one, launcher.address=HOST:PORT names one, launcher.address=local needs none"
            )
            raise LightdetError(f"launcher.address=auto: this machine belongs to no Ray cluster; {how}")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise LightdetError(f"launcher.address={address}: auto, local, or HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT).close()
    except OSError as error:
        raise LightdetError(f"launcher.address={address}: no Ray cluster answers there ({error})") from None


def _code(module: str) -> str:
    """Where the code of a package lies. Raises LightdetError for one that cannot be imported here."""
    found = importlib.util.find_spec(module) if module.isidentifier() else None
    if found is None:
        raise LightdetError(f"launcher.modules: {module} cannot be imported here, so it cannot be sent along")
    places = list(found.submodule_search_locations or [])
    return places[0] if places else str(found.origin)


def _nap() -> list[Any]:
    time.sleep(LOOK_AGAIN)
    return []
