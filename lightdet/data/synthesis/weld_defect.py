"""weld_defect: a gap in the bead, an undercut along its toe, spatter beside it, a burn-through."""

import numpy as np

from lightdet.data.synthesis.canvas import Grey, blob, coordinates, coverage, lay, turned, window
from lightdet.data.synthesis.workpiece import Seam, Workpiece


def paint(piece: Workpiece, rng: np.random.Generator) -> Grey | None:
    """The picture with one flaw in the weld; None when the part has no weld."""
    if piece.seam is None:
        return None
    place = _place_on_seam(piece, piece.seam, rng)
    if place is None:
        return None
    kind = rng.choice(4, p=[0.3, 0.2, 0.27, 0.23])
    return (_gap, _undercut, _spatter, _burn_through)[kind](piece, piece.seam, place, rng)


def _place_on_seam(piece: Workpiece, seam: Seam, rng: np.random.Generator) -> tuple[float, float] | None:
    """A point on the bead's centre line with free surface around it, px."""
    line = np.abs(seam.across) < 0.8
    margin = int(20 * piece.unit)
    line[:margin], line[-margin:], line[:, :margin], line[:, -margin:] = False, False, False, False
    places = np.flatnonzero(line)
    if not len(places):
        return None
    row, column = divmod(int(places[rng.integers(len(places))]), piece.size)
    return column + 0.5, row + 0.5


def _along(piece: Workpiece, seam: Seam, place: tuple[float, float]) -> Grey:
    """px along the seam, from `place`."""
    return seam.along - seam.along[int(place[1]), int(place[0])]


def _gap(piece: Workpiece, seam: Seam, place: tuple[float, float], rng: np.random.Generator) -> Grey:
    """The bead stops and continues later; in between the joint lies open."""
    half = float(rng.uniform(8, 15)) * piece.unit
    ends = np.abs(_along(piece, seam, place)) - np.float32(half)
    hollow = ends + np.float32(0.35) * seam.half_width * (1 - (seam.across / seam.half_width) ** 2)
    beside = np.abs(seam.across) - seam.half_width - np.float32(5 * piece.unit)
    cover = coverage(np.maximum(hollow, beside), 1.5)
    crater = np.exp(-((hollow / np.float32(2.0)) ** 2)) * coverage(np.abs(seam.across) - seam.half_width)
    return lay(piece.image, piece.bare, cover) - np.float32(35) * crater


def _undercut(piece: Workpiece, seam: Seam, place: tuple[float, float], rng: np.random.Generator) -> Grey:
    """A groove melted into the sheet along one toe of the bead."""
    side = np.float32(rng.choice([1, -1]))
    half = float(rng.uniform(13, 22)) * piece.unit
    along = _along(piece, seam, place) / np.float32(half)
    wander = np.float32(0.9 * piece.unit) * np.sin(along * 7 + np.float32(rng.uniform(0, 6)))
    from_toe = side * seam.across - seam.half_width - np.float32(1.2 * piece.unit) - wander
    thickness = np.float32(rng.uniform(4.0, 5.5) * piece.unit) * np.sqrt(np.clip(1 - along**2, 0, 1))
    groove = coverage(np.abs(from_toe) - thickness, 2.0) * (thickness > 0.5)
    lip = np.exp(-(((from_toe - thickness) / np.float32(1.5)) ** 2)) * (np.abs(along) < 1)
    return lay(piece.image, np.float32(34), groove * np.float32(0.85)) + np.float32(26) * lip


def _spatter(piece: Workpiece, seam: Seam, place: tuple[float, float], rng: np.random.Generator) -> Grey:
    """Frozen drops of metal thrown beside the bead."""
    image = piece.image.copy()
    x, y = coordinates(piece.size)
    row, column = int(place[1]), int(place[0])
    here, right, below = seam.across[row, column], seam.across[row, column + 1], seam.across[row + 1, column]
    normal = np.array([right - here, below - here])
    normal *= rng.choice([1, -1]) / (np.hypot(*normal) + 1e-6)
    reach = float(rng.uniform(9, 15)) * piece.unit
    centre = np.array(place) + normal * (seam.nominal + 0.75 * reach)
    for _ in range(int(rng.integers(7, 13))):
        bearing, away = rng.uniform(0, 2 * np.pi), reach * rng.uniform(0, 1) ** 0.5
        ball = centre + away * np.array([np.cos(bearing), np.sin(bearing)])
        radius = float(rng.uniform(1.6, 3.3)) * piece.unit
        local = window(piece.size, ball[0], ball[1], 2.2 * radius + 2)
        if 0 in image[local].shape:
            continue
        right, down = turned(x[local], y[local], (ball[0], ball[1]), 0.0)
        facing = (right * np.float32(piece.light[0]) + down * np.float32(piece.light[1])) / np.float32(radius)
        shade = np.hypot(right + np.float32(0.5 * piece.light[0]), down + np.float32(0.5 * piece.light[1]))
        under = image[local] * (1 - np.float32(0.5) * coverage(shade - np.float32(radius + 0.8), 2.0))
        tone = np.clip(np.float32(172) + np.float32(48) * facing, 70, 220)
        image[local] = lay(under, tone, coverage(np.hypot(right, down) - np.float32(radius)))
    return image


def _burn_through(piece: Workpiece, seam: Seam, place: tuple[float, float], rng: np.random.Generator) -> Grey:
    """A hole melted through the bead, with a swollen lip."""
    x, y = coordinates(piece.size)
    along, across = turned(x, y, place, 0.0)
    radius = float(rng.uniform(0.62, 0.95)) * seam.nominal
    distance = blob(along, across, radius, 0.14, rng)
    lip = np.exp(-(((distance - np.float32(2.2 * piece.unit)) / np.float32(1.7 * piece.unit)) ** 2))
    return lay(piece.image + np.float32(48) * lip, np.float32(20), coverage(distance, 1.6))
