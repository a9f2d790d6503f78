"""What a detector asks of its loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lightdet.batch import Target, TrainingFacts


class Criterion(nn.Module, ABC):
    """Belongs to one kind of predictor, whose raw maps it understands.

    A module without parameters: what a loss has to remember from step to step is a buffer and lies in the checkpoint.
    """

    @abstractmethod
    def forward(self, raw_maps: Sequence[Tensor], targets: Sequence[Target], predictor: Any) -> dict[str, Tensor]:
        """Named scalar terms whose sum is the objective."""

    def fit_to(self, facts: TrainingFacts, predictor: Any) -> str:
        """Adapt loss and predictor to the training set; says what was done."""
        return "nothing to fit"
