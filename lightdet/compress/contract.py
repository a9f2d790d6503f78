"""What makes a network smaller before a training."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lightdet.core.types import Batch
from lightdet.model.contract import Model
from lightdet.ops.grid import ImageSize


@dataclass(frozen=True, slots=True)
class Compressed:
    """What was done to a network. told: in words. facts: as JSON, from which `compress` does the same again."""

    told: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Compression(ABC):
    """Changes a model that has trained weights, once, before the first step of the training that mends it."""

    @abstractmethod
    def compress(
        self, model: Model, image_size: ImageSize, batches: Iterable[Batch], known: Mapping[str, Any]
    ) -> Compressed:
        """Makes the model's network narrower, in place.

        `batches` hold the training images once, not augmented. `known`: the facts of an earlier call for the same
        weights and images, whose training was killed before its first checkpoint; {} for the first. Then the same is
        done, and nothing is measured anew.
        """
