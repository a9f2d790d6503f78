"""Quality focal loss, Li et al. 2020, arXiv 2006.04388 eq. 5: the target of the class is the quality of the box.

Differs: the mean over positives and classes (see `focal`).
"""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.loss.classification.contract import ClassLoss, distance_to, one_hot, weighted_mean


class QualityFocal(ClassLoss):
    """|y - p|^beta BCE(p, y), where y is the quality at the right class and 0 at every other.

    Raises LightdetError for a negative beta.
    """

    def __init__(self, beta: float = 2.0) -> None:
        if beta < 0:
            raise LightdetError(f"loss/class=quality_focal: beta={beta}: give 0 or more")
        self.beta = beta

    def __call__(self, logits: Tensor, labels: Tensor, quality: Tensor, weight: Tensor | None = None) -> Tensor:
        target = one_hot(labels, logits) * quality[:, None]
        far = distance_to(target, logits) ** self.beta
        return weighted_mean(far * F.binary_cross_entropy_with_logits(logits, target, reduction="none"), weight)
