"""One pass over all parameters per optimizer step, where torch has such a kernel."""

from torch.optim import Optimizer

WITH_KERNEL = frozenset({"cpu", "cuda"})  # devices


def use_fused_kernel(optimizer: Optimizer) -> None:
    """Let Adam, AdamW and SGD update all parameters in one call instead of a dozen small operations for each.

    The same update. Groups whose settings speak of `fused` or `foreach` are left as they are, and so is an optimizer
    that has no such kernel.
    """
    for group in optimizer.param_groups:
        devices = {parameter.device.type for parameter in group["params"]}
        undecided = "fused" in group and group["fused"] is None and group.get("foreach") is None
        if undecided and not group.get("differentiable") and devices <= WITH_KERNEL:
            group["fused"] = True
