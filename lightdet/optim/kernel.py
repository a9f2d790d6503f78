"""Torch's fused optimizer kernels: one pass over all parameters per step."""

from torch.optim import Optimizer

WITH_KERNEL = frozenset({"cpu", "cuda"})  # devices


def use_fused_kernel(optimizer: Optimizer) -> None:
    """Make Adam, AdamW and SGD update all parameters in one call instead of a dozen small operations for each.

    The update is the same. Groups that set `fused` or `foreach` are left as they are, and so is an optimizer without
    such a kernel.
    """
    for group in optimizer.param_groups:
        devices = {parameter.device.type for parameter in group["params"]}
        undecided = "fused" in group and group["fused"] is None and group.get("foreach") is None
        if undecided and not group.get("differentiable") and devices <= WITH_KERNEL:
            group["fused"] = True
