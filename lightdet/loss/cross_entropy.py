"""The loss of classifiers: cross-entropy, with smoothed labels and weights of classes."""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.loss.class_weighted import ClassWeighted


class CrossEntropy(ClassWeighted):
    """logits (B, C), labels (B,) -> the mean over the images, each counting as much as its class."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), labels, weight=self.weights, label_smoothing=self.smoothing)
