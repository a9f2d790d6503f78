"""Focal loss, Lin et al. 2017, arXiv 1708.02002 eq. 5: examples that are classified well count less.

Differs: the mean over positives and classes instead of the sum over anchors, so that the gain of the class term keeps
its meaning. It is applied to positives only, as every class loss of a detector with objectness is.
"""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.loss.classification.contract import ClassLoss, distance_to, one_hot, weighted_mean


class Focal(ClassLoss):
    """alpha_t (1 - p_t)^gamma BCE, where p_t is the probability given to the right answer.

    `alpha`: weight of the right class, 1 - alpha of every other; a negative one leaves it out. Raises LightdetError for
    a negative gamma and an alpha above 1.
    """

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25) -> None:
        if gamma < 0 or alpha > 1:
            raise LightdetError(f"loss/class=focal: gamma={gamma}, alpha={alpha}: gamma from 0 up, alpha up to 1")
        self.gamma = gamma
        self.alpha = alpha

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, weight: Tensor | None = None) -> Tensor:
        target = one_hot(labels, logits)
        wrong = distance_to(target, logits)  # 1 - p_t
        values = wrong**self.gamma * F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if self.alpha >= 0:
            values = values * (self.alpha * target + (1 - self.alpha) * (1 - target))
        return weighted_mean(values, weight)
