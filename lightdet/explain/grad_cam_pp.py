"""GradCAM++, Chattopadhay et al. 2018, arXiv 1710.11063: positive gradients, weighed so that each place of a channel
counts alike, however many there are."""

import numpy as np
import torch
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import added, maps_and_gradients, shape_of
from lightdet.model.contract import Model

LEAST = 1e-6  # of the denominator of the weights


class GradCamPp(Method):
    """relu(sum over channels of weight x feature map), weight = sum of alpha relu(gradient).

    alpha = g^2 / (2 g^2 + g^3 sum of the channel), which is equation 19 with the exponential of the logit as score.
    `layer` as in `LayerCam`.
    """

    def __init__(self, layer: str | None = None) -> None:
        self.layer = layer

    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        weighed = [
            (_weights(one, gradient) * one).sum(dim=0)
            for one, gradient in maps_and_gradients(model, images, subject, self.layer)
        ]
        return added(weighed, shape_of(images))


def _weights(one: Tensor, gradient: Tensor) -> Tensor:
    """(c, 1, 1)."""
    square = gradient**2
    alpha = square / (2 * square + one.sum(dim=(1, 2), keepdim=True) * square * gradient + LEAST)
    alpha = torch.where(gradient != 0, alpha, 0.0)
    return (alpha * gradient.clamp(min=0)).sum(dim=(1, 2), keepdim=True)
