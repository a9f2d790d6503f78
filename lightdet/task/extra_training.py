"""The contract of what may be trained beside a model: a distiller's adapters, a discriminator of domains."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from lightdet.core.types import Batch
from lightdet.model.contract import Model


class ExtraTraining(nn.Module, ABC):
    """Further loss terms of a training, and the additional modules that they train.

    Its parameters are in the optimizer's groups from the first step and its state is in the checkpoints of the
    training; neither is part of the model's weights or of their moving average. What is not trained (a frozen teacher)
    is kept out of `parameters()`, e.g. in a list.
    """

    @abstractmethod
    def losses(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms, added to the objective; names that the model's terms do not have.

        Called in each training step after `model.losses(batch.images, batch.targets)`, so that a forward hook on the
        model's `layers` has seen the batch.
        """

    def set_progress(self, progress: float) -> None:
        """Called before each training step with the fraction of epochs completed, as `Model.set_progress` is."""

    def set_average(self, weights: Mapping[str, Tensor]) -> None:
        """Called when a training begins or is resumed, with the moving average of the model's weights by their names;
        after each step the same tensors hold the new average."""
