"""The contract of a class loss."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


class ClassLoss(ABC):
    """Logits of K positives -> one number, the mean over positives and classes; a binary decision for every class."""

    @abstractmethod
    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, weight: Tensor | None = None) -> Tensor:
        """logits (K, C), labels (K,) int64, quality (K,) in 0..1: the IoU of the predicted box, without a gradient.

        `weight` (K, 1) multiplies what each positive costs; None: all alike.
        """


def one_hot(labels: Tensor, logits: Tensor) -> Tensor:
    """(K,) int64 -> (K, C) of the logits' type: 1 at the label."""
    return F.one_hot(labels, logits.shape[1]).to(logits.dtype)


def distance_to(target: Tensor, logits: Tensor) -> Tensor:
    """|target - probability|, never 0: the slope of its root is infinite there, and the gradient no number."""
    return (target - logits.sigmoid()).abs().clamp(min=torch.finfo(logits.dtype).tiny)


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """(K, C), (K, 1) -> the mean of values x weight."""
    return (values if weight is None else values * weight).mean()
