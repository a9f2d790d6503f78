"""The contract of a readout: a classifier that is fitted in one step to the features of a network."""

from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError

BALANCED = "balanced"


class Readout(nn.Module, ABC):
    """Pooled features (B, D) -> logits (B, C), whose softmax is what it was fitted to say.

    It is fitted after the training of the network; until then `fitted` is False and it answers nothing. What it learned
    lies in buffers, so it is saved and loaded with the model; scikit-learn is needed to fit it and not to use it.
    `class_weight`: None, all images alike; "balanced", all classes alike. Raises LightdetError for another one.
    """

    differentiable = True  # whether its logits have gradients
    is_fitted: Tensor  # () bool: `fitted` as it is saved

    def __init__(self, num_classes: int, class_weight: str | None) -> None:
        super().__init__()
        if class_weight not in (None, BALANCED):
            raise LightdetError(f"model.network.readout.class_weight={class_weight}: one of null, {BALANCED}")
        self.num_classes = num_classes
        self.class_weight = class_weight
        self.register_buffer("is_fitted", torch.zeros((), dtype=torch.bool))
        self.fitted = False  # a plain value: an exported graph has no branch
        self.register_load_state_dict_post_hook(_after_loading)

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor: ...

    @abstractmethod
    def learn(self, features: np.ndarray, labels: np.ndarray, seed: int) -> str:
        """features (N, D) float32, labels (N,) -> fills the buffers; returns what was done, in words."""

    def fit(self, features: Tensor, labels: Tensor, seed: int) -> str:
        """features (N, D), labels (N,) on any device; the same for the same `seed`. Returns what was done, in words.

        Raises LightdetError for features that are not finite.
        """
        if not features.isfinite().all():
            raise LightdetError("readout: the network's features are not finite; take a lower optimizer.lr")
        said = self.learn(features.float().cpu().numpy(), labels.cpu().numpy(), seed)
        self.is_fitted.fill_(True)
        self.fitted = True
        return said

    def forget(self) -> None:
        """Back to not fitted, as before the training of the network."""
        self.is_fitted.fill_(False)
        self.fitted = False

    def loaded(self) -> None:
        """Called after the buffers were loaded. Raises LightdetError for what cannot be computed with."""
        self.fitted = bool(self.is_fitted)

    def probabilities_of(self, classes: Any, found: np.ndarray) -> np.ndarray:
        """(..., classes with training images) -> (..., C): 0 for the others. `classes`: their labels."""
        whole = np.zeros((*found.shape[:-1], self.num_classes), dtype=np.float32)
        whole[..., np.asarray(classes, dtype=np.int64)] = found
        return whole


def _after_loading(readout: Any, _: Any) -> None:
    readout.loaded()


def require_sklearn() -> None:
    """Raises LightdetError where scikit-learn is missing: before a training, and not after it."""
    if find_spec("sklearn") is None:
        raise LightdetError(
            "readout: fitting it needs scikit-learn, which is not installed; pip install 'lightdet[forest]' (in the "
            "clone '.[forest]'), or take readout=linear"
        )
