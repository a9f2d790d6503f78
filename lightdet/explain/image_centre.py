"""The centre of the image, whatever is in it: a method has to beat this to say anything."""

import numpy as np
from torch import Tensor

from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import shape_of
from lightdet.model.contract import Model

SPREAD = 0.25  # standard deviations, of the sides


class ImageCentre(Method):
    """A normal distribution around the centre, a quarter of each side wide."""

    trivial = True

    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        height, width = shape_of(images)
        return bell((width / 2, height / 2), (SPREAD * width, SPREAD * height), (height, width))


def bell(centre: tuple[float, float], spread: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """A map (H, W) float32 with 1 at the centre (x, y) and standard deviations (x, y), px."""
    x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5
    across, down = (
        np.exp(-(((at - c) / max(s, 0.5)) ** 2) / 2) for at, c, s in zip((x, y), centre, spread, strict=True)
    )
    return (down[:, None] * across[None]).astype(np.float32)
