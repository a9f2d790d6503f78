"""A detector for use alone: the same answers, without the normalisations that only training needs."""

import copy

import torch

from lightdet.model.detector import Detector
from lightdet.nn.fold import fold


def folded(detector: Detector, image_size: int) -> Detector:
    """A copy in eval mode whose network has its BatchNorms folded (`lightdet.nn.fold`); the detector stays.

    The network is run once, on a grey image of `image_size` px. Detections agree up to rounding.
    """
    result = copy.deepcopy(detector).eval()
    some = next(result.network.parameters())
    grey = torch.full((1, 3, image_size, image_size), 0.5, device=some.device, dtype=some.dtype)
    result.network = fold(result.network, grey)
    return result
