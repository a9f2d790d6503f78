"""What a classifier keeps of the classes in its training, so that its outputs can be corrected afterwards."""

from typing import Any

import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError


class TrainedClasses(nn.Module):
    """Of each class its images in training and what one of them counted in the loss; both are in the checkpoint.

    A correction is a vector (C,) that is added to the logits: there, log f multiplies the probabilities by f and
    normalises them again. A checkpoint that is older than this has neither; both corrections then raise LightdetError.
    """

    counts: Tensor
    weights: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(num_classes))
        self.register_buffer("weights", torch.zeros(num_classes))

    def keep(self, counts: Tensor, weights: Tensor | None) -> None:
        """`weights`: None where every image counts alike."""
        self.counts.copy_(counts)
        self.weights.copy_(torch.ones_like(self.weights) if weights is None else weights)

    def for_equal_classes(self) -> Tensor:
        """p'_c = w_c p_c / sum, w_c = 1 / N_c: the probabilities where all classes were equally frequent. A class
        without an image is left as if it had the most."""
        counts = self._known(self.counts)
        return -torch.where(counts > 0, counts, counts.max()).log()

    def without_weights(self) -> Tensor:
        """p'_c = (p_c / w_c) / sum: the probabilities of a training in which every image counted alike."""
        return -self._known(self.weights).log()

    def _known(self, values: Tensor) -> Tensor:
        if not values.any():
            raise LightdetError(
                "model.adjust, model.decision: this run is older than the counts of classes in checkpoints, so its "
                "outputs cannot be corrected; train it again"
            )
        return values

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name, value in self.named_buffers():
            state_dict.setdefault(prefix + name, torch.zeros_like(value))
        super()._load_from_state_dict(state_dict, prefix, *args)
