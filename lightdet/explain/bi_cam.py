"""Bi-CAM, Hu and Wang 2020 (IEEE TIE 67(12), 10922): what each place adds to the logit of a bilinear classifier."""

import numpy as np
import torch
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import added, shape_of
from lightdet.model.contract import Model


class BiCam(Method):
    """The network's own `bi_cam(images, label)`, whose sum over the places and the bias is the logit exactly.

    Raises LightdetError for a network without one.
    """

    @torch.no_grad()
    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        places = getattr(model.network, "bi_cam", None)
        if places is None:
            raise LightdetError("bi_cam explains bilinear classifiers alone (model=object_attention); take layer_cam")
        return added([places(images, subject.label)[0]], shape_of(images))
