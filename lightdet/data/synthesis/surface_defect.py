"""surface_defect: scratches and scuffs, thin bright strokes with a dark flank."""

import cv2
import numpy as np

from lightdet.data.synthesis.canvas import Grey
from lightdet.data.synthesis.workpiece import Workpiece

SHIFT = 4  # bits of a pixel's fraction in cv2's drawing calls


def paint(piece: Workpiece, rng: np.random.Generator) -> Grey | None:
    """The picture with one scratch or one scuff more; None when there is no space."""
    place = piece.free_place(rng, float(rng.uniform(14, 36)) * piece.unit, 12 * piece.unit)
    if place is None:
        return None
    spot, reach = place
    heading = float(np.deg2rad(rng.choice([1, -1]) * rng.uniform(22, 68)))
    if rng.random() < 0.6:
        strokes = _scratch(rng, spot, reach, heading)
        width = rng.uniform(0.9, 1.7) * piece.unit
    else:
        strokes = _scuff(rng, spot, min(reach, 20 * piece.unit), heading, piece.unit)
        width = rng.uniform(0.8, 1.1) * piece.unit
    return _engrave(piece, strokes, width, rng)


def _scratch(rng: np.random.Generator, spot: tuple[float, float], reach: float, heading: float) -> list[Grey]:
    """One long bent stroke, sometimes with a shorter companion."""
    strokes = [_curve(rng, spot, 0.95 * reach, heading, 0.28)]
    if rng.random() < 0.4:
        beside = (spot[0] + 0.2 * reach * np.sin(heading), spot[1] - 0.2 * reach * np.cos(heading))
        strokes.append(_curve(rng, beside, 0.55 * reach, heading + rng.normal(0, 0.12), 0.2))
    return strokes


def _scuff(
    rng: np.random.Generator, spot: tuple[float, float], reach: float, heading: float, unit: float
) -> list[Grey]:
    """A patch of short, nearly parallel strokes."""
    strokes = []
    for _ in range(int(rng.integers(8, 15))):
        forward, aside = rng.uniform(-0.35, 0.35) * reach, rng.uniform(-0.4, 0.4) * reach
        centre = (
            spot[0] + forward * np.cos(heading) - aside * np.sin(heading),
            spot[1] + forward * np.sin(heading) + aside * np.cos(heading),
        )
        strokes.append(_curve(rng, centre, rng.uniform(0.25, 0.5) * reach, heading + rng.normal(0, 0.1), 0.1))
    return strokes


def _curve(
    rng: np.random.Generator, centre: tuple[float, float], half_length: float, heading: float, bend: float
) -> Grey:
    """Points of a quadratic arc, (N, 2) px."""
    place = np.linspace(-1, 1, 14)
    sag = rng.normal(0, bend) * half_length * (1 - place**2) * 0.7
    x = centre[0] + place * half_length * np.cos(heading) - sag * np.sin(heading)
    y = centre[1] + place * half_length * np.sin(heading) + sag * np.cos(heading)
    return np.stack((x, y), axis=1).astype(np.float32)


def _engrave(piece: Workpiece, strokes: list[Grey], width: float, rng: np.random.Generator) -> Grey:
    core = np.zeros((piece.size, piece.size), dtype=np.uint8)
    for points in strokes:
        fixed = np.round((points - 0.5) * (1 << SHIFT)).astype(np.int32)
        swing = np.linspace(0.5, 2.75, len(points) - 1) + rng.uniform(-0.3, 0.3)
        pressure = rng.uniform(0.75, 1) * np.sin(swing) ** 0.7
        for start, end, force in zip(fixed[:-1], fixed[1:], pressure, strict=True):
            cv2.line(core, start, end, int(255 * force), max(1, round(width)), cv2.LINE_AA, SHIFT)
    groove = cv2.GaussianBlur(core.astype(np.float32) / 255, (0, 0), 0.45 * width)
    flank = cv2.warpAffine(
        groove,
        np.array([[1, 0, 1.1 * width * piece.light[0]], [0, 1, 1.1 * width * piece.light[1]]]),
        (piece.size, piece.size),
    )
    depth = np.float32(rng.uniform(85, 130))
    dark = piece.bare.mean() < 100
    if piece.metal or dark or rng.random() < 0.5:
        return piece.image + depth * groove - np.float32(0.55) * depth * flank
    return piece.image - np.float32(0.8) * depth * groove + np.float32(0.4) * depth * flank
