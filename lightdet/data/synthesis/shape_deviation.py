"""shape_deviation: a hole that is not round, a nicked or burred outer edge, a dent or a bulge in a sheet."""

import numpy as np

from lightdet.data.synthesis.canvas import Grey, coordinates, coverage, lay, turned
from lightdet.data.synthesis.fittings import draw_hole, draw_rim
from lightdet.data.synthesis.workpiece import Rim, Workpiece


def paint(piece: Workpiece, rng: np.random.Generator) -> Grey | None:
    """The picture with one part out of shape; None when there is no space."""
    if piece.rim is not None and rng.random() < 0.75:
        return _spoilt_rim(piece, piece.rim, rng)
    if piece.holes and rng.random() < 0.8:
        return _oval_hole(piece, rng)
    return _dent(piece, rng)


def _oval_hole(piece: Workpiece, rng: np.random.Generator) -> Grey:
    hole = piece.holes[rng.integers(len(piece.holes))]
    stretch = (float(rng.uniform(1.55, 1.95)), float(rng.uniform(1.15, 1.25)))
    angle = float(rng.uniform(0, np.pi))
    image = piece.image.copy()
    x, y = coordinates(piece.size)
    away = np.hypot(x - np.float32(hole.x), y - np.float32(hole.y)) - np.float32(1.5 * hole.radius)
    image = lay(image, piece.bare, coverage(away))
    draw_hole(image, hole, piece.light, stretch, angle)
    return image


def _spoilt_rim(piece: Workpiece, rim: Rim, rng: np.random.Generator) -> Grey | None:
    """A nick (material gone) or a burr (material raised beyond the edge)."""
    line = np.abs(rim.depth) < 1
    margin = int(18 * piece.unit)
    line[:margin], line[-margin:], line[:, :margin], line[:, -margin:] = False, False, False, False
    places = rim.along[line]
    if not len(places):
        return None
    place = rim.along - places[rng.integers(len(places))]
    half = np.float32(rng.uniform(11, 18) * piece.unit)
    inside = np.sqrt(np.clip(1 - (place / half) ** 2, 0, 1))
    teeth = np.zeros_like(place)
    for waves in (3, 5, 9):
        teeth += np.cos(place / half * np.float32(waves) + np.float32(rng.uniform(0, 6))) / np.float32(waves + 1)
    bump = inside * (1 + np.float32(0.75) * teeth)
    if rng.random() < 0.5:
        depth = rim.depth - np.float32(rng.uniform(10, 15) * piece.unit) * bump
    else:
        depth = rim.depth + np.float32(rng.uniform(8, 12) * piece.unit) * bump
    lit = float(np.clip(rng.normal(0.3, 0.2), -0.5, 1))
    spoilt = draw_rim(piece.bare, rim, depth, lit)
    return lay(piece.image, spoilt, coverage(np.abs(place) - half))


def _dent(piece: Workpiece, rng: np.random.Generator) -> Grey | None:
    """A round hollow or hill: lit on one flank, dark on the other."""
    place = piece.free_place(rng, float(rng.uniform(11, 22)) * piece.unit, 10 * piece.unit)
    if place is None:
        return None
    spot, reach = place
    x, y = coordinates(piece.size)
    stretch = float(rng.uniform(0.72, 1))
    angle = float(rng.uniform(0, np.pi))
    along, across = turned(x, y, spot, angle)
    across = across / np.float32(stretch)
    radius = np.hypot(along, across) / np.float32(reach)
    slope = np.clip(1 - radius, 0, 1) * np.clip(radius / np.float32(0.55), 0, 1) * np.float32(2.2)
    slope = np.clip(slope, 0, 1)
    towards = np.arctan2(piece.light[1], piece.light[0]) - angle
    length = np.hypot(along, across) + np.float32(1e-3)
    facing = (along * np.float32(np.cos(towards)) + across * np.float32(np.sin(towards))) / length
    strength = np.float32(rng.uniform(42, 62) * rng.choice([1, -1]))
    return piece.image + strength * slope * facing - np.float32(8) * slope
