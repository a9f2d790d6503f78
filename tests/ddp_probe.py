"""An optimizer that tells what it sees, for tests of several ranks: a configuration names it, and each builds one."""

import hashlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.optim import SGD

from lightdet.error import LightdetError

NOTES = "DDP_PROBE_NOTES"  # environment: a folder; each rank writes its pid, and a line for each step
TROUBLE = "DDP_PROBE_TROUBLE"  # environment: "rank step killed" or "rank step told"


class Probe(SGD):
    """SGD that notes a digest of gradients and weights at every step, and can break."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr, momentum=0.9)
        self.rank = os.environ.get("RANK", "0")
        self.notes = Path(os.environ[NOTES])
        (self.notes / f"pid{self.rank}").write_text(str(os.getpid()))
        self.taken = 0

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = super().step(closure)
        self.taken += 1
        tensors = [p for group in self.param_groups for p in group["params"]]
        note = {
            "gradients": digest([p.grad for p in tensors]),
            "weights": digest(tensors),
            "threads": torch.get_num_threads(),
        }
        with open(self.notes / f"steps{self.rank}.jsonl", "a") as file:
            file.write(json.dumps(note) + "\n")
        rank, step, how = os.environ.get(TROUBLE, "- 0 -").split()
        if (rank, int(step)) == (self.rank, self.taken):
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise LightdetError("the probe broke")
        return loss


def digest(tensors: list[Any]) -> str:
    """sha256 of all numbers."""
    whole = hashlib.sha256()
    for tensor in tensors:
        whole.update(tensor.detach().contiguous().numpy().tobytes())
    return whole.hexdigest()
