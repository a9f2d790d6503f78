"""EigenCAM, Muhammad and Yeasin 2020, arXiv 2008.00299: the first principal component of a feature map.

It knows nothing of the class or of the box: it shows what the map shows most of. Differs: channels are centred first,
as common implementations do; the sign, which a principal component leaves open, is the one in which the component
rises with the sum over the channels. Maps of several scales are normalised to 1 each and added, because nothing in
them says which one decided.
"""

import numpy as np
import torch
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import added, chosen_layers, shape_of
from lightdet.model.contract import Model
from lightdet.nn.capture import captured

LEAST = 1e-12  # of a maximum by which a map is divided


class EigenCam(Method):
    """relu(projection of each place on the first principal component). `layer` as in `LayerCam`."""

    def __init__(self, layer: str | None = None) -> None:
        self.layer = layer

    @torch.no_grad()
    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        with captured(model.network, chosen_layers(model, self.layer)) as outputs:
            model.network(images)
        found = [_component(output[0]).clamp(min=0) for output in outputs.values() if output.ndim == 4]
        return added([one / one.max().clamp(min=LEAST) for one in found], shape_of(images))


def _component(one: Tensor) -> Tensor:
    """(c, h, w) -> (h, w)."""
    places = one.flatten(1).T  # (h w, c)
    centred = places - places.mean(dim=0)
    projection = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[0]
    sign = -1.0 if projection @ centred.sum(dim=1) < 0 else 1.0
    return (sign * projection).view(one.shape[1:])
