"""Cost-sensitive weights: a class counts as many times more as it is rarer, w_c = N_max / N_c with mean 1.

After the cost-sensitive layer of CS-ResNet (Zhang et al. 2021, Expert Systems with Applications 185, 115673), whose
formula is not openly available; this is the usual form.
"""

import torch
from torch import Tensor

from lightdet.core.types import TrainingStats


class InverseFrequency:
    """Statistics of the training set -> weights (C,) float32. A class that it does not have gets 1 and counts in no
    mean."""

    def __call__(self, stats: TrainingStats) -> Tensor:
        class_counts = stats.class_counts
        weights = torch.ones(len(class_counts))
        present = class_counts > 0
        rarity = class_counts.max() / class_counts[present].float()
        weights[present] = rarity / rarity.mean()
        return weights
