"""Brushes of the synthetic data: distance fields, soft coverage and smooth noise on float32 grey canvases.

A canvas is (size, size) float32 in grey levels 0..255; x runs right and y down, in px, and the centre of the pixel
in the top left corner is (0.5, 0.5).
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.floating[Any]]
Number = float | np.floating[Any]
Window = tuple[slice, slice]


@lru_cache(maxsize=4)
def coordinates(size: int) -> tuple[Grey, Grey]:
    """x and y of every pixel's centre, each (size, size), px; read-only."""
    line = np.arange(size, dtype=np.float32) + np.float32(0.5)
    x = np.broadcast_to(line[None, :], (size, size))
    y = np.broadcast_to(line[:, None], (size, size))
    return x, y


def window(size: int, x: float, y: float, reach: float) -> Window:
    """The part of the canvas that holds a disc of radius `reach` px around (x, y)."""
    return (
        slice(max(0, int(y - reach)), min(size, int(y + reach) + 2)),
        slice(max(0, int(x - reach)), min(size, int(x + reach) + 2)),
    )


def turned(x: Grey, y: Grey, centre: tuple[float, float], angle: float) -> tuple[Grey, Grey]:
    """Coordinates in a frame at `centre`, turned by `angle` rad: along its first axis and across it, px."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    right, down = x - np.float32(centre[0]), y - np.float32(centre[1])
    return right * cosine + down * sine, down * cosine - right * sine


def ellipse(along: Grey, across: Grey, half_length: Number, half_width: Number) -> Grey:
    """Signed distance to an ellipse around the origin, px, negative inside (exact for a circle)."""
    scaled = np.sqrt((along / np.float32(half_length)) ** 2 + (across / np.float32(half_width)) ** 2)
    return (scaled - 1) * np.float32(min(half_length, half_width))


def rounded_box(along: Grey, across: Grey, half_length: float, half_width: float, corner: float) -> Grey:
    """Signed distance to a rectangle around the origin whose corners are rounded by `corner` px."""
    beyond_length = np.abs(along) - np.float32(half_length - corner)
    beyond_width = np.abs(across) - np.float32(half_width - corner)
    outside = np.hypot(np.maximum(beyond_length, 0), np.maximum(beyond_width, 0))
    return outside + np.minimum(np.maximum(beyond_length, beyond_width), 0) - np.float32(corner)


def blob(along: Grey, across: Grey, radius: float, roughness: float, rng: np.random.Generator) -> Grey:
    """Signed distance to an irregular round shape around the origin, px; `roughness` 0 is a circle, 0.3 is ragged."""
    bearing = np.arctan2(across, along)
    outline = np.full_like(bearing, radius)
    for waves, weight in ((2, 1.0), (3, 0.8), (5, 0.5), (8, 0.35)):
        height = np.float32(radius * roughness * weight * rng.uniform(0.4, 1.0))
        outline += height * np.cos(waves * bearing + np.float32(rng.uniform(0, 2 * np.pi)))
    return np.hypot(along, across) - outline


def coverage(distance: Grey, softness: float = 1.0) -> Grey:
    """How much of a pixel lies inside: 1 inside, 0 outside, with an edge `softness` px wide."""
    return np.clip(np.float32(0.5) - distance / np.float32(softness), 0, 1)


def lay(under: Grey, over: Grey | Number, cover: Grey) -> Grey:
    """`over` laid on `under` where `cover` is 1."""
    return under + (over - under) * cover


def clouds(rng: np.random.Generator, size: int, cells: int) -> Grey:
    """Smooth noise with about `cells` hills a side, mean 0, standard deviation about 1."""
    seeds = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    weights = _spline(size, cells)
    return weights @ seeds @ weights.T


@lru_cache(maxsize=32)
def _spline(size: int, cells: int) -> Grey:
    """Cubic B-spline weights, (size, cells + 3), scaled so that unit noise keeps its strength in the mean."""
    place = (np.arange(size) + 0.5) * cells / size + 1
    distance = np.abs(place[:, None] - np.arange(cells + 3)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    return (weights / np.sqrt((weights**2).sum(axis=1).mean())).astype(np.float32)


def grain(rng: np.random.Generator, size: int, sigma: float) -> Grey:
    """Fine isotropic noise with features of `sigma` px, mean 0, standard deviation 1."""
    noise = rng.standard_normal((size, size), dtype=np.float32)
    if sigma > 0:
        soft = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma), dtype=np.float32)
        return soft / (soft.std() + np.float32(1e-6))
    return noise


def bounds(mask: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    """The tight box of the pixels that are set: left, top, right, bottom in px; None when there is none."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
