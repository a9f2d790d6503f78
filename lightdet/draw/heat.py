"""A heat map in colour, alone or over its image."""

import matplotlib
import numpy as np

COLOURS = "inferno"  # its lightness rises evenly, so that it reads in grey as well
GREY = 0.55  # of the image under a heat map, so that colours stand out
STRENGTH = 0.7  # greatest share of the colour in a pixel
PERCENTILE = 99.5  # of a map that is drawn as the strongest colour: one pixel must not darken all others
LEGEND = "the stronger the colour, the more a place speaks for what is explained"


def scaled(heat: np.ndarray) -> np.ndarray:
    """A map (H, W) >= 0 -> 0..1; of zeros alone: zeros."""
    most = float(np.percentile(heat, PERCENTILE)) or float(heat.max())
    return np.clip(heat / most, 0, 1) if most > 0 else np.zeros_like(heat)


def colours(heat: np.ndarray) -> np.ndarray:
    """A map (H, W) >= 0 -> (H, W, 3) uint8 RGB."""
    return np.asarray(matplotlib.colormaps[COLOURS](scaled(heat), bytes=True))[..., :3]


def over(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) uint8 RGB, pale and grey, under the colours of its map (H, W) >= 0."""
    grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2)
    share = (STRENGTH * scaled(heat))[..., None]
    return np.round((1 - share) * (255 * (1 - GREY) + GREY * grey) + share * colours(heat)).astype(np.uint8)
