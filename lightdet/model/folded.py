"""A model for use alone: the same predictions, without the normalisations that only training needs."""

import copy
from typing import TypeVar

from lightdet.model.contract import Model
from lightdet.nn.fold import fold
from lightdet.nn.inputs import blank_image
from lightdet.ops.grid import ImageSize

Kind = TypeVar("Kind", bound=Model)


def folded(model: Kind, image_size: ImageSize) -> Kind:
    """A copy in eval mode whose network has its BatchNorms folded (`lightdet.nn.fold`); the model stays. One whose
    network has no parameters is returned as it is.

    The network runs once, on a grey image of `image_size` px. Predictions agree up to rounding.
    """
    if next(model.network.parameters(), None) is None:  # that of an exported file, which is folded already
        return model.eval()
    result = copy.deepcopy(model).eval()
    result.network = fold(result.network, blank_image(result.network, image_size, 0.5))
    return result
