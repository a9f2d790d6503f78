"""What makes a network smaller before a training."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from lightdet.core.types import Batch
from lightdet.model.contract import Model
from lightdet.ops.grid import ImageSize


class Compression(ABC):
    """Changes a model that has trained weights, once, before the first step of the training that mends it."""

    @abstractmethod
    def compress(self, model: Model, image_size: ImageSize, batches: Iterable[Batch]) -> str:
        """Makes the model's network narrower, in place; returns what was done, in words.

        `batches` hold the training images once, not augmented. The same for the same weights and images.
        """
