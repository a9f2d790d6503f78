"""The gradient with respect to the image, Simonyan et al. 2013, arXiv 1312.6034."""

import numpy as np
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import image_gradient
from lightdet.model.contract import Model


class InputGradient(Method):
    """The largest absolute gradient of a pixel's channels."""

    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        return image_gradient(model, images, subject).abs().amax(dim=0).float().cpu().numpy()
