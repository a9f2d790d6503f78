"""Cost-sensitive weights: a class counts as much as its mistakes cost, w_c = sum over j of C_cj, with mean 1.

The class-dependent reading of a cost matrix, as in Elkan 2001, "The Foundations of Cost-Sensitive Learning".
"""

import torch
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import TrainingStats
from lightdet.loss.class_weights.inverse_frequency import InverseFrequency
from lightdet.metric.costs import Costs, cost_matrix


class CostWeights:
    """Statistics of the training set -> weights (C,) float32. A class that training does not have counts in no mean.

    `costs`: see `cost_matrix`. `imbalance`: multiply by how rare each class is. Raises LightdetError without costs, and
    for a class whose mistakes cost nothing.
    """

    def __init__(self, costs: Costs | None, imbalance: bool = False) -> None:
        self.costs = costs
        self.imbalance = imbalance

    def __call__(self, stats: TrainingStats) -> Tensor:
        if not self.costs:
            raise LightdetError(
                "loss/class_weights=costs: no costs are given; say what it costs to take a class for another one: "
                f"'model.costs={{{stats.classes[0] if stats.classes else 'CLASS'}: 10}}'"
            )
        weights = torch.from_numpy(cost_matrix(self.costs, stats.classes)).float().sum(dim=1)
        free = [name for name, weight in zip(stats.classes, weights.tolist(), strict=True) if not weight]
        if free:
            raise LightdetError(
                f"loss/class_weights=costs: no mistake about {', '.join(free)} costs anything, so it would not be "
                "learned; give it a cost in model.costs"
            )
        if self.imbalance:
            weights = weights * InverseFrequency()(stats)
        present = stats.class_counts > 0
        return torch.where(present, weights / weights[present].mean(), 1.0)
