"""Repeat-factor sampling, Gupta et al. 2019 (LVIS), arXiv 1908.03195: images of rare classes come more often.

A class on the share f of the training images has the factor max(1, sqrt(threshold / f)), and an image the largest
factor of its classes.
"""

from collections.abc import Sequence

import numpy as np

from lightdet.core.errors import LightdetError


class RepeatFactor:
    """Labels of each training image -> how often each is drawn in an epoch on average, (N,) float64, at least 1.

    Raises LightdetError for a threshold that is no share.
    """

    def __init__(self, threshold: float) -> None:
        if not 0 < threshold <= 1:
            raise LightdetError(f"data.sampling.threshold={threshold}: a share of the images, above 0 and up to 1")
        self.threshold = threshold

    def __call__(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        classes = [np.unique(each).astype(np.int64) for each in labels]
        images = np.bincount(np.concatenate([*classes, np.zeros(0, np.int64)]))  # by class
        factor = np.sqrt(self.threshold * len(classes) / images.clip(min=1)).clip(min=1)
        return np.array([factor[each].max(initial=1.0) for each in classes])
