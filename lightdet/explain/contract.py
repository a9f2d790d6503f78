"""The contract of a method that explains: where in an image a model finds what it predicts."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.model.contract import Model


class Method(ABC):
    """An option of `conf/explain`; it keeps nothing between calls.

    `trivial`: it does not ask the model, and is there for the others to be compared with.
    """

    trivial: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        """images (1, C, H, W) 0..1, model in eval mode on their device -> map (H, W) float32 >= 0, input px.

        Great values are where the subject comes from; what speaks against it is cut off at 0, as the papers of these
        methods do. The scale is the method's own. Raises LightdetError for a model or a subject that it cannot explain.
        """
