"""What a detector asks of its loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightdet.batch import Target


class Criterion(ABC):
    """Belongs to one kind of predictor, whose raw maps it understands."""

    @abstractmethod
    def __call__(self, raw_maps: Sequence[Tensor], targets: Sequence[Target], predictor: Any) -> dict[str, Tensor]:
        """Named scalar terms whose sum is the objective."""

    def fit_to(self, box_sizes: Tensor, predictor: Any) -> str:
        """Adapt the predictor to the training set's box sizes (N, 2), input px; says what was done."""
        return "nothing to fit"
