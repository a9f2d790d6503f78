"""An optimizer that tells what it sees and a detector that guesses, for tests of several ranks: a configuration names
them, and each rank builds its own."""

import hashlib
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD

from lightdet.core.errors import LightdetError
from lightdet.core.types import Detections, Target
from lightdet.model.detector import Detector

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


class Guess(Detector):
    """A box of each size at every cell of a grid, scored in tenths, so that most scores are equal to many others.

    The statistics that ranks other than 0 build it with are far off.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        norm = nn.BatchNorm2d(4)
        norm.get_buffer("running_mean").fill_(1e6 * int(os.environ.get("RANK", "0")))
        self.network = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), norm, nn.ReLU(), nn.Conv2d(4, 3, 1))

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        wanted = images.new_tensor([float(len(target.labels)) for target in targets])
        return {"count": (self.network(images).mean(dim=(1, 2, 3)) - wanted).square().mean()}

    def detect(self, images: Tensor) -> list[Detections]:
        answers = self.network(images).sigmoid().mul(10).round().div(10)  # (B, sizes, rows, columns)
        size, row, column = torch.meshgrid(*map(torch.arange, answers.shape[1:]), indexing="ij")
        centre, half = torch.stack((column, row), dim=-1) * 4.0 + 2, (size[..., None] + 1) * 6.0
        boxes, labels = torch.cat((centre - half, centre + half), dim=-1), (size + row + column) % self.num_classes
        order = [answer.flatten().argsort(descending=True, stable=True) for answer in answers]
        return [
            Detections(boxes.view(-1, 4)[best], answer.flatten()[best], labels.flatten()[best])
            for answer, best in zip(answers, order, strict=True)
        ]


def digest(tensors: list[Any]) -> str:
    """sha256 of all numbers."""
    whole = hashlib.sha256()
    for tensor in tensors:
        whole.update(tensor.detach().contiguous().numpy().tobytes())
    return whole.hexdigest()
