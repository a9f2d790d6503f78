"""assembly_defect: in a row of screws, one is missing or sits crooked."""

import numpy as np

from lightdet.data.synthesis.canvas import Grey, coordinates, coverage, ellipse, lay, turned, window
from lightdet.data.synthesis.fittings import HOLLOW, drive_distance
from lightdet.data.synthesis.workpiece import Screw, Workpiece


def paint(piece: Workpiece, rng: np.random.Generator) -> Grey | None:
    """The picture with one screw missing or crooked; None when the part has no screws."""
    if not piece.screws:
        return None
    screw = piece.screws[rng.integers(len(piece.screws))]
    image = piece.image.copy()
    _empty_seat(piece, image, screw)
    if rng.random() < 0.5:
        _crooked(piece, image, screw, float(rng.uniform(0, 2 * np.pi)))
    return image


def _empty_seat(piece: Workpiece, image: Grey, screw: Screw) -> None:
    """The bare tapped hole inside the bright ring that the head had pressed."""
    x, y = coordinates(piece.size)
    local = window(piece.size, screw.x, screw.y, 1.5 * screw.radius)
    right, down = turned(x[local], y[local], (screw.x, screw.y), 0.0)
    away = np.hypot(right, down)
    under = lay(image[local], piece.bare[local], coverage(away - np.float32(1.45 * screw.radius)))
    seat = away - np.float32(1.24 * screw.radius)
    under = under + np.float32(16) * coverage(seat)
    under -= np.float32(34) * np.exp(-((seat / np.float32(1.2)) ** 2))
    bore = away - np.float32(0.55 * screw.radius)
    facing = (right * np.float32(piece.light[0]) + down * np.float32(piece.light[1])) / np.float32(screw.radius)
    thread = np.float32(HOLLOW + 8) - np.float32(40) * facing + np.float32(12) * np.sin(away * np.float32(2.2))
    image[local] = lay(under, np.maximum(thread, np.float32(16)), coverage(bore))


def _crooked(piece: Workpiece, image: Grey, screw: Screw, lean: float) -> None:
    """A head that leans: foreshortened, shifted, dark under its lifted side."""
    x, y = coordinates(piece.size)
    radius = screw.radius
    local = window(piece.size, screw.x, screw.y, 2.1 * radius)
    along, across = turned(x[local], y[local], (screw.x, screw.y), lean)
    shade = ellipse(along + np.float32(0.32 * radius), across, 0.95 * radius, 1.0 * radius)
    under = image[local] * (1 - np.float32(0.72) * coverage(shade, 4.0))
    along = along - np.float32(0.3 * radius)
    squeeze = np.float32(0.66)
    distance = ellipse(along, across, squeeze * radius, 1.0 * radius)
    flank = ellipse(along + np.float32(0.2 * radius), across, squeeze * radius, 1.0 * radius)
    under = lay(under, np.float32(0.45 * screw.tone), coverage(flank))
    facing = along / np.float32(radius) * np.float32(np.cos(lean) * piece.light[0] + np.sin(lean) * piece.light[1])
    head = np.float32(screw.tone + 6) + np.float32(60) * facing
    head -= np.float32(32) * coverage(-(distance + np.float32(0.1 * radius)), 2.0)
    turn_along, turn_across = turned(along / squeeze, across, (0.0, 0.0), screw.angle)
    recess = drive_distance(turn_along, turn_across, screw.drive, radius)
    image[local] = lay(under, lay(head, np.float32(36), coverage(recess)), coverage(distance))
