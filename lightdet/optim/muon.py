"""Muon: the momentum of a weight matrix, made orthogonal before it is applied; AdamW for all other parameters.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. Every direction of the update gets the same length, so
that rare directions are learned as fast as frequent ones. The update is scaled to the size that AdamW's would have (Liu
et al. 2025, arXiv 2502.16982, eq. 4): one learning rate and one weight decay serve both, and those of AdamW are a fair
start. timm has the same method; it calculates in bfloat16, which CPUs without such instructions take 14 times as long
for, and one matrix after the other.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

STEPS = (  # of the iteration: coefficients of X, X^3 and X^5
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
ADAMW_SIZE = 0.2  # root mean square of an update of AdamW, in learning rates
EPSILON = 1e-7


class Muon(AdamW):
    """Like AdamW, but weights of convolutions and linear layers are stepped along orthogonalized momentum.

    A weight (out, in, ...) counts as the matrix (out, in * ...). Depthwise convolutions, whose `in` is 1, stay with
    AdamW, as do biases, normalisation and a group of parameters with `matrices: False`: tables of position biases
    have two dimensions too. `momentum` is that of the matrices, with Nesterov's look ahead.
    """

    def __init__(self, params: Any, lr: float, momentum: float = 0.95, **adamw: Any) -> None:
        super().__init__(params, lr=lr, **adamw)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One update of all parameters."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        taken = [self._take_matrices(group) for group in self.param_groups]
        super().step()
        for group, gradients in zip(self.param_groups, taken, strict=True):
            self._step_matrices(group, gradients)
        return loss

    @staticmethod
    def _take_matrices(group: dict[str, Any]) -> dict[Tensor, Tensor]:
        """The gradients of the matrices, hidden from AdamW."""
        if not group.get("matrices", True):
            return {}
        gradients = {p: p.grad for p in group["params"] if p.grad is not None and is_matrix(p)}
        for parameter in gradients:
            parameter.grad = None
        return gradients

    def _step_matrices(self, group: dict[str, Any], gradients: dict[Tensor, Tensor]) -> None:
        alike: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
            alike[len(parameter), parameter[0].numel()].append(parameter)
        for (rows, columns), parameters in alike.items():
            ahead = [self._ahead(parameter, gradients[parameter]).reshape(rows, columns) for parameter in parameters]
            rate = group["lr"] * ADAMW_SIZE * max(rows, columns) ** 0.5
            for parameter, update in zip(parameters, orthogonal(torch.stack(ahead)), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.view(parameter.shape), alpha=-rate)

    def _ahead(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        """The gradient drawn towards its moving average, which is brought up to date."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["step"] = torch.zeros(())  # AdamW looks for it when a state is loaded
            state["momentum"] = torch.zeros_like(parameter)
        average: Tensor = state["momentum"].lerp_(gradient, 1 - self.momentum)
        return torch.lerp(gradient, average, self.momentum)


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter mixes several inputs into several outputs."""
    return parameter.ndim >= 2 and len(parameter) > 1 and parameter.shape[1] > 1


def orthogonal(matrices: Tensor) -> Tensor:
    """(K, m, n) -> (K, m, n) float32 with the same singular vectors and singular values near 1, by `STEPS` of a quintic
    Newton-Schulz iteration. Values below some thousandth of the greatest stay smaller; a zero matrix stays zero.

    With X X^T = A a step is X -> (a + b A + c A^2) X. All these polynomials of A commute, so they are multiplied with
    each other, m x m, and with X only at the end.
    """
    wide = matrices.float()
    transposed = wide.shape[-2] > wide.shape[-1]
    if transposed:
        wide = wide.mT
    wide = wide / (wide.norm(dim=(-2, -1), keepdim=True) + EPSILON)
    gram = wide @ wide.mT
    product = step = _polynomial(gram, *STEPS[0])
    for coefficients in STEPS[1:]:
        gram = step @ gram @ step
        step = _polynomial(gram, *coefficients)
        product = step @ product
    result = product @ wide
    return result.mT if transposed else result


def _polynomial(matrices: Tensor, a: float, b: float, c: float) -> Tensor:
    """a + b A + c A^2 of each A: (K, m, m) -> same."""
    result = torch.baddbmm(matrices, matrices, matrices, beta=b, alpha=c)
    result.diagonal(dim1=-2, dim2=-1).add_(a)
    return result
