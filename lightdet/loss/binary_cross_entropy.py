"""The loss of classifiers that give an image several classes: a yes or a no for each class."""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.loss.class_weighted import ClassWeighted


class BinaryCrossEntropy(ClassWeighted):
    """logits (B, C), shown (B, C) of 0 and 1 -> the mean over images and classes.

    The smoothing is spread over yes and no. The weight of a class multiplies what its yes counts, and not its no.
    """

    def forward(self, logits: Tensor, shown: Tensor) -> Tensor:
        target = shown.float() * (1 - self.smoothing) + self.smoothing / 2
        return F.binary_cross_entropy_with_logits(logits.float(), target, pos_weight=self.weights)
