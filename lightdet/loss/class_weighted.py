"""What the losses of classifiers share: smoothed labels, and weights of classes that come from the training set."""

from collections.abc import Callable

from torch import Tensor, nn

from lightdet.core.errors import demand_share
from lightdet.core.types import TrainingStats


class ClassWeighted(nn.Module):
    """`smoothing`: the share of a label that is spread over all answers. `class_weights`: statistics of the training
    set -> what an image of each class counts (C,); in force after `prepare`; None: all alike."""

    weights: Tensor | None

    def __init__(self, smoothing: float = 0.05, class_weights: Callable[[TrainingStats], Tensor] | None = None) -> None:
        super().__init__()
        demand_share("model.criterion.smoothing", smoothing)
        self.smoothing = smoothing
        self.weigh_classes = class_weights
        self.register_buffer("weights", None, persistent=False)  # computed from the data at every start

    def prepare(self, stats: TrainingStats, like: Tensor) -> str:
        """Computes the weights, on the device of `like`; returns them in words, or ""."""
        if self.weigh_classes is None:
            return ""
        weights = self.weigh_classes(stats)
        self.weights = weights.to(like.device)
        return f"class weights {', '.join(f'{weight:.2f}' for weight in weights.tolist())}"
