"""A detector for use alone: the same answers, without the normalisations that only training needs."""

import copy

from lightdet.model.detector import Detector
from lightdet.nn.fold import fold
from lightdet.nn.inputs import blank_image
from lightdet.ops.grid import ImageSize


def folded(detector: Detector, image_size: ImageSize) -> Detector:
    """A copy in eval mode whose network has its BatchNorms folded (`lightdet.nn.fold`); the detector stays.

    The network is run once, on a grey image of `image_size` px. Detections agree up to rounding.
    """
    result = copy.deepcopy(detector).eval()
    result.network = fold(result.network, blank_image(result.network, image_size, 0.5))
    return result
