"""Binary cross-entropy of every class, Huang 2024 eq. 9."""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.loss.classification.contract import ClassLoss, one_hot


class Bce(ClassLoss):
    """Target 1 for the right class and 0 for every other."""

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, weight: Tensor | None = None) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, one_hot(labels, logits), weight)
