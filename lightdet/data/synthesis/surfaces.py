"""Bare product surfaces, before anything is fitted to them: (rng, size) -> (size, size) float32 grey levels."""

import cv2
import numpy as np

from lightdet.data.synthesis.canvas import Grey, clouds, coordinates, grain


def brushed_steel(rng: np.random.Generator, size: int) -> Grey:
    """Straight grain in one direction, from long streaks of uneven strength."""
    wide = int(size * 1.45)
    streaks = rng.standard_normal((wide, wide), dtype=np.float32)
    long = cv2.GaussianBlur(streaks, (0, 0), sigmaX=size / 10, sigmaY=0.5)
    short = cv2.GaussianBlur(streaks[::-1], (0, 0), sigmaX=size / 40, sigmaY=0.5)
    pattern = long / long.std() + np.float32(0.6) * short / short.std()
    angle = rng.choice([0.0, 90.0]) + rng.normal(0, 6)
    turn = cv2.getRotationMatrix2D((wide / 2, wide / 2), angle, 1.0) - np.array([0, 0, (wide - size) / 2])
    pattern = cv2.warpAffine(pattern, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    tone, strength = rng.uniform(125, 175), rng.uniform(3.5, 6.5)
    return np.float32(tone) + np.float32(strength) * pattern + np.float32(3) * clouds(rng, size, 2)


def cast_metal(rng: np.random.Generator, size: int) -> Grey:
    """Sand-cast skin: cloudy shading with a pebbled grain."""
    tone = np.float32(rng.uniform(95, 140))
    shade = np.float32(rng.uniform(4, 8)) * clouds(rng, size, 3) + np.float32(3) * clouds(rng, size, 9)
    pebbles = np.float32(rng.uniform(3, 5.5)) * grain(rng, size, 0.9 * size / 160)
    return tone + shade + pebbles


def rolled_metal(rng: np.random.Generator, size: int) -> Grey:
    """Hot-rolled sheet: low-frequency clouds and faint bands along the rolling direction."""
    bands = cv2.GaussianBlur(rng.standard_normal((size, 1), dtype=np.float32), (1, 0), sigmaX=0.1, sigmaY=size / 40)
    bands = np.broadcast_to(bands / (bands.std() + np.float32(1e-6)), (size, size))
    if rng.random() < 0.5:
        bands = bands.T
    tone = np.float32(rng.uniform(110, 165))
    shade = np.float32(rng.uniform(4, 8)) * clouds(rng, size, 2) + np.float32(2.5) * clouds(rng, size, 14)
    return tone + shade + np.float32(2.5) * bands + np.float32(2) * grain(rng, size, 0)


def machined_rings(rng: np.random.Generator, size: int) -> Grey:
    """A turned face: concentric tool marks and the two-winged highlight they throw."""
    x, y = coordinates(size)
    bearing = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.0, 0.8) * size
    right = x - np.float32(size / 2 + reach * np.cos(bearing))
    down = y - np.float32(size / 2 + reach * np.sin(bearing))
    radius = np.hypot(right, down)
    profile = rng.standard_normal(2 * size + 4, dtype=np.float32)
    pitch = np.float32(rng.uniform(0.5, 0.8) * 160 / size)
    step = radius * pitch
    floor = step.astype(np.int32)
    part = step - floor
    marks = profile[floor] * (1 - part) + profile[floor + 1] * part
    wings = np.cos(2 * (np.arctan2(down, right) - np.float32(rng.uniform(0, np.pi))))
    wings *= np.clip(radius / np.float32(0.15 * size), 0, 1)
    tone = np.float32(rng.uniform(120, 165))
    return tone + np.float32(rng.uniform(4, 7)) * marks + np.float32(rng.uniform(8, 15)) * wings


def painted_plastic(rng: np.random.Generator, size: int) -> Grey:
    """A moulded, painted skin: even tone with a soft orange peel."""
    tone = np.float32(rng.uniform(85, 190))
    peel = np.float32(rng.uniform(1.2, 2.6)) * grain(rng, size, 1.6 * size / 160)
    return tone + peel + np.float32(2) * clouds(rng, size, 2)


METALS = (brushed_steel, cast_metal, rolled_metal, machined_rings)
EVERY = (*METALS, painted_plastic)
