"""The connection to a Ray cluster, its resources, and what one run requires of them. No torch here."""

import contextlib
import importlib.util
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightdet.config.trust import COMPOSED
from lightdet.core.cores import cores
from lightdet.core.errors import LightdetError, one_line
from lightdet.study.launcher.ray_node import Mailbox

CONNECT = 5.0  # seconds for a cluster to answer


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Address, requirements of one run (CPU, GPU, memory in bytes), and the packages that are sent to the nodes."""

    address: str
    needs: dict[str, float]
    modules: Sequence[str]

    @contextlib.contextmanager
    def connected(self) -> Iterator[Any]:
        """A connection to the cluster; gives the mailbox, which lives on this machine.

        Raises LightdetError for a cluster that does not answer, or of which no node is large enough.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        local = self.address == "local"
        if not local:
            _require_listener(self.address)
        try:
            ray.init(
                self.address,
                num_cpus=cores() if local else None,
                include_dashboard=False if local else None,
                runtime_env=self._environment(),
                namespace="lightdet",
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise LightdetError(
                f"launcher.address={self.address}: no connection to a Ray cluster ({one_line(error)})"
            ) from error
        try:
            if not self.fits():
                raise LightdetError(f"no node of the Ray cluster can take a run: {self.offer()}")
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            yield ray.remote(num_cpus=0)(Mailbox).options(scheduling_strategy=here).remote()
        finally:
            ray.shutdown()

    def _environment(self) -> dict[str, Any]:
        """Code and variables that Ray brings to the nodes."""
        modules = {"py_modules": [_code(name) for name in self.modules]} if self.modules else {}
        return {**modules, "env_vars": {COMPOSED: os.environ.get(COMPOSED, "")}}

    def fits(self) -> bool:
        """Whether some node is large enough for a run."""
        return any(
            all(node.get("Resources", {}).get(name, 0.0) >= amount for name, amount in self.needs.items())
            for node in self._nodes()
        )

    def _nodes(self) -> list[dict[str, Any]]:
        import ray

        return [node for node in ray.nodes() if node.get("Alive")]

    def offer(self) -> str:
        """What a run requires, and what the nodes have, as text."""
        needed = f"{self.needs['CPU']:g} CPUs, {self.needs['GPU']:g} GPUs, {self.needs['memory'] / 2**30:.1f} GiB"
        here = [node.get("Resources", {}) for node in self._nodes()]
        most = [max((node.get(name, 0.0) for node in here), default=0.0) for name in self.needs]
        return (
            f"it needs {needed} (launcher.cpus, gpus, memory_gb); the most of each among {len(here)} nodes is "
            f"{most[0]:g} CPUs, {most[1]:g} GPUs, {most[2] / 2**30:.1f} GiB"
        )


def _require_listener(address: str) -> None:
    """Raises LightdetError when no process listens at the cluster's address; Ray itself would try for minutes."""
    if address == "auto":
        current = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
        address = os.environ.get("RAY_ADDRESS") or (current.read_text().strip() if current.exists() else "")
        if not address:
            how = (
                "`ray start --head` starts one, launcher.address=HOST:PORT names one, launcher.address=local needs none"
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
    """The folder of a package's code. Raises LightdetError for one that cannot be imported here."""
    found = importlib.util.find_spec(module) if module.isidentifier() else None
    if found is None:
        raise LightdetError(f"launcher.modules: {module} cannot be imported here, so it cannot be sent to the nodes")
    places = list(found.submodule_search_locations or [])
    return places[0] if places else str(found.origin)
