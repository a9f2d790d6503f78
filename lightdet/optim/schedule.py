"""Learning rates over a run, stepped after every optimizer step."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class WarmupCosine:
    """Linear warm-up to the peak rate, then a half cosine down to `final_share` of it."""

    def __init__(self, warmup_epochs: float, final_share: float) -> None:
        self.warmup_epochs = warmup_epochs
        self.final_share = final_share

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """Share of the peak rate at an optimizer step, 0-based."""
        warmup = min(round(self.warmup_epochs * steps_per_epoch), total_steps // 2)
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, total_steps - warmup)
        return self.final_share + (1 - self.final_share) * (1 + math.cos(math.pi * min(1.0, progress))) / 2

    def __call__(self, optimizer: Optimizer, steps_per_epoch: int, total_steps: int) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: self.factor(step, steps_per_epoch, total_steps))
