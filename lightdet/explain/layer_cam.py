"""LayerCAM, Jiang et al. 2021 (IEEE TIP 30, 5875): each place of a feature map weighs by its own positive gradient."""

import numpy as np
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import added, maps_and_gradients, shape_of
from lightdet.model.contract import Model


class LayerCam(Method):
    """relu(sum over channels of relu(gradient) x feature map).

    `layer`: a submodule of the network; None: those that the model proposes. Differs: several maps are added without
    the paper's tanh scaling, see `added`.
    """

    def __init__(self, layer: str | None = None) -> None:
        self.layer = layer

    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        found = maps_and_gradients(model, images, subject, self.layer)
        return added([(gradient.clamp(min=0) * one).sum(dim=0) for one, gradient in found], shape_of(images))
