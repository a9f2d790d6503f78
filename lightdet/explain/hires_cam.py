"""HiResCAM, Draelos and Carin 2020, arXiv 2011.08891: gradient times feature map, place by place."""

import numpy as np
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import added, maps_and_gradients, shape_of
from lightdet.model.contract import Model


class HiresCam(Method):
    """relu(sum over channels of gradient x feature map). `layer` as in `LayerCam`.

    For a map that is averaged and goes through a linear layer the sum is the logit up to its bias, place by place.
    """

    def __init__(self, layer: str | None = None) -> None:
        self.layer = layer

    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        found = maps_and_gradients(model, images, subject, self.layer)
        return added([(gradient * one).sum(dim=0) for one, gradient in found], shape_of(images))
