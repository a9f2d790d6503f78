"""Rank, world size and address of this process in a training of several processes. No torch here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

PARENT = "_LIGHTDET_PARENT"  # environment: process id of the parent, with which a rank ends
FIRST_PORT, PORTS = 15000, 20000  # of a Slurm step that names none


@dataclass(frozen=True, slots=True)
class World:
    """Rank, world size and address; the default is a process that trains alone."""

    rank: int = 0  # among all `ranks`; rank 0 writes, reports and evaluates
    ranks: int = 1
    local_rank: int = 0  # on this machine: the number of its device
    node: int = 0
    address: str = "127.0.0.1"  # where rank 0 listens
    port: int = 0
    hosted: bool = False  # whether another process already listens there, as torchrun does

    def variables(self) -> dict[str, str]:
        """Environment variables that describe this rank, under torchrun's names."""
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.ranks),
            "LOCAL_RANK": str(self.local_rank),
            "GROUP_RANK": str(self.node),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }


def world_from(environment: Mapping[str, str]) -> World | None:
    """The rank given to this process by torchrun's variables, or as a task of a Slurm step of several tasks; None for a
    process that was started alone."""
    if {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        return World(
            rank=int(environment["RANK"]),
            ranks=int(environment["WORLD_SIZE"]),
            local_rank=int(environment["LOCAL_RANK"]),
            node=int(environment.get("GROUP_RANK", 0)),
            address=environment["MASTER_ADDR"],
            port=int(environment["MASTER_PORT"]),
            hosted=environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        )
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))  # srun sets it, sbatch and salloc do not
    if tasks < 2 or "SLURM_PROCID" not in environment:
        return None
    step = int(environment.get("SLURM_JOB_ID", 0)) * 31 + int(environment.get("SLURM_STEP_ID", 0))
    return World(
        rank=int(environment["SLURM_PROCID"]),
        ranks=tasks,
        local_rank=int(environment["SLURM_LOCALID"]),
        node=int(environment["SLURM_NODEID"]),
        address=environment.get("MASTER_ADDR") or first_host(environment.get("SLURM_STEP_NODELIST", "127.0.0.1")),
        port=int(environment.get("MASTER_PORT") or FIRST_PORT + step % PORTS),
    )


def first_host(nodes: str) -> str:
    """The first host in Slurm's list of nodes: "gpu[03-05,9],cpu1" -> "gpu03"."""
    match = re.match(r"([^\[,]*)(?:\[([^\],-]+)[^\]]*\])?([^\[,]*)", nodes)
    assert match is not None  # every part of the pattern may be empty
    return "".join(part or "" for part in match.groups())
