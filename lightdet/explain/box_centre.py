"""The centre of the predicted box, whatever the network saw: the trivial explanation of a detection.

It points well because the detector does: a map says more than the box only where it beats this one.
"""

import numpy as np
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import shape_of
from lightdet.explain.image_centre import bell
from lightdet.model.contract import Model

SPREAD = 0.25  # standard deviations, of the sides of the box


class BoxCentre(Method):
    """A normal distribution around the centre of the box, a quarter of each side wide. Raises LightdetError for a
    subject without a box."""

    trivial = True

    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        if subject.box_xyxy is None:
            raise LightdetError("box_centre explains boxes, and a classifier predicts none; take image_centre")
        left, top, right, bottom = subject.box_xyxy
        spread = SPREAD * (right - left), SPREAD * (bottom - top)
        return bell(((left + right) / 2, (top + bottom) / 2), spread, shape_of(images))
