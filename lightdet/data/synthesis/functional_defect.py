"""functional_defect: an electrical contact that is burnt, cracked through or corroded."""

import numpy as np

from lightdet.data.synthesis.canvas import Grey, blob, clouds, coordinates, coverage, grain, lay, rounded_box, turned
from lightdet.data.synthesis.workpiece import Pad, Workpiece


def paint(piece: Workpiece, rng: np.random.Generator) -> Grey | None:
    """The picture with one contact spoilt; None when the part has no contacts."""
    if not piece.pads:
        return None
    pad = piece.pads[rng.integers(len(piece.pads))]
    kind = rng.choice(3, p=[0.38, 0.27, 0.35])
    return (_burnt, _cracked, _corroded)[kind](piece, pad, rng)


def _on_pad(piece: Workpiece, pad: Pad, rng: np.random.Generator, margin: float) -> tuple[Grey, Grey, Grey]:
    """A frame at a random place of the pad, `margin` px from its ends, and the pad's signed distance."""
    x, y = coordinates(piece.size)
    along, across = turned(x, y, (pad.x, pad.y), pad.angle)
    distance = rounded_box(along, across, pad.half_length, pad.half_width, 0.22 * pad.half_width)
    slack = max(0.0, pad.half_length - margin)
    return along - np.float32(rng.uniform(-slack, slack)), across, distance


def _burnt(piece: Workpiece, pad: Pad, rng: np.random.Generator) -> Grey:
    """Soot around a molten spot, spilling over the contact's sides."""
    radius = float(rng.uniform(0.9, 1.25)) * pad.half_width
    along, across, _ = _on_pad(piece, pad, rng, radius)
    across = across - np.float32(rng.uniform(-0.25, 0.25) * pad.half_width)
    distance = blob(along, across, radius, 0.12, rng)
    soot = coverage(distance + np.float32(0.25 * radius), 0.9 * radius) * np.float32(0.85)
    image = lay(piece.image, np.float32(20) + np.float32(4) * clouds(rng, piece.size, 30), soot)
    return image + np.float32(34) * coverage(distance + np.float32(0.72 * radius), 2.5)


def _cracked(piece: Workpiece, pad: Pad, rng: np.random.Generator) -> Grey:
    """A jagged break from one side of the contact to the other."""
    along, across, distance = _on_pad(piece, pad, rng, 0.8 * pad.half_width)
    knots = int(rng.integers(5, 8))
    zigzag = rng.uniform(0.8, 4.8, knots) * np.where(np.arange(knots) % 2, 1, -1) * piece.unit
    lean = rng.uniform(-0.45, 0.45)
    corners = np.linspace(-pad.half_width, pad.half_width, knots)
    corners[1:-1] += rng.uniform(-0.3, 0.3, knots - 2) * (corners[1] - corners[0])
    course = np.interp(across, corners, zigzag).astype(np.float32)
    off = np.abs(along - course - np.float32(lean) * across)
    width = np.float32(rng.uniform(1.5, 2.3) * piece.unit)
    inside = coverage(distance)
    lip = np.exp(-(((off - width - 1) / np.float32(1.1)) ** 2))
    image = piece.image + np.float32(20) * lip * inside
    return lay(image, np.float32(24), coverage(off - width, 1.3) * inside)


def _corroded(piece: Workpiece, pad: Pad, rng: np.random.Generator) -> Grey:
    """A crust that eats the plating: mottled, light and dark."""
    radius = float(rng.uniform(0.95, 1.5)) * pad.half_width
    along, across, distance = _on_pad(piece, pad, rng, radius)
    patch = blob(along, across, radius, 0.16, rng)
    crust = np.float32(112) + np.float32(42) * grain(rng, piece.size, 1.3 * piece.unit)
    rind = np.exp(-(((patch + 1) / np.float32(1.5)) ** 2))
    cover = coverage(np.maximum(patch, distance), 1.6)
    return lay(piece.image, np.clip(crust, 40, 205) - np.float32(35) * rind, cover * np.float32(0.95))
