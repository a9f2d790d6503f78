"""GradCAM, Selvaraju et al. 2017, arXiv 1610.02391: each channel of a feature map weighs by its mean gradient."""

import numpy as np
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import added, maps_and_gradients, shape_of
from lightdet.model.contract import Model


class GradCam(Method):
    """relu(sum over channels of mean gradient x feature map). `layer` as in `LayerCam`.

    The mean is over the whole map, so that on a detector's map, whose gradient is nearly 0 but in a few cells, places
    light up that had no part in the box.
    """

    def __init__(self, layer: str | None = None) -> None:
        self.layer = layer

    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        found = maps_and_gradients(model, images, subject, self.layer)
        weighed = [(gradient.mean(dim=(1, 2), keepdim=True) * one).sum(dim=0) for one, gradient in found]
        return added(weighed, shape_of(images))
