"""material_defect: pores, pits and inclusions, dark and irregular, with a bright lip on the side away from the lamp."""

import numpy as np

from lightdet.data.synthesis.canvas import Grey, blob, clouds, coordinates, coverage, lay, turned, window
from lightdet.data.synthesis.workpiece import Workpiece


def paint(piece: Workpiece, rng: np.random.Generator) -> Grey | None:
    """The picture with one cluster of pores or one inclusion more; None when there is no space."""
    place = piece.free_place(rng, float(rng.uniform(12, 25)) * piece.unit, 11 * piece.unit)
    if place is None:
        return None
    spot, reach = place[0], 0.87 * place[1]
    image = piece.image.copy()
    if rng.random() < 0.62:
        _pores(piece, image, spot, reach, rng)
    else:
        _inclusion(piece, image, spot, 0.75 * reach, rng)
    return image


def _pores(piece: Workpiece, image: Grey, spot: tuple[float, float], reach: float, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(9, 17))):
        bearing, away = rng.uniform(0, 2 * np.pi), reach * rng.uniform(0, 1) ** 0.6
        radius = float(rng.uniform(1.1, 2.9)) * piece.unit
        centre = (spot[0] + (away - radius) * np.cos(bearing), spot[1] + (away - radius) * np.sin(bearing))
        _pit(piece, image, centre, radius, float(rng.uniform(20, 50)), rng)


def _pit(
    piece: Workpiece, image: Grey, centre: tuple[float, float], radius: float, tone: float, rng: np.random.Generator
) -> None:
    x, y = coordinates(piece.size)
    local = window(piece.size, *centre, 2 * radius + 2)
    right, down = turned(x[local], y[local], centre, 0.0)
    distance = blob(right, down, radius, 0.12, rng)
    facing = (right * np.float32(piece.light[0]) + down * np.float32(piece.light[1])) / np.float32(radius)
    lip = np.exp(-(((distance - np.float32(0.6)) / np.float32(1.1)) ** 2)) * np.clip(-facing, 0, 1)
    image[local] = lay(image[local] + np.float32(32) * lip, tone, coverage(distance, 1.3))


def _inclusion(
    piece: Workpiece, image: Grey, spot: tuple[float, float], radius: float, rng: np.random.Generator
) -> None:
    """A slag island: ragged, mottled, darker than the metal around it."""
    x, y = coordinates(piece.size)
    along, across = turned(x, y, spot, float(rng.uniform(0, np.pi)))
    distance = blob(along, across * np.float32(rng.uniform(1.1, 1.7)), radius, 0.2, rng)
    mottle = np.float32(rng.uniform(38, 62)) + np.float32(11) * clouds(rng, piece.size, 26)
    image[:] = lay(image, mottle, coverage(distance, 1.8) * np.float32(0.9))
