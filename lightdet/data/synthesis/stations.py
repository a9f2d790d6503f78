"""The workpieces that pass under the camera, all of them intact: one function per kind of part."""

from collections.abc import Callable

import cv2
import numpy as np

from lightdet.data.synthesis.canvas import Grey, clouds, coordinates, coverage, ellipse, grain, turned, window
from lightdet.data.synthesis.fittings import draw_bead, draw_hole, draw_pad, draw_rim, draw_screw
from lightdet.data.synthesis.surfaces import EVERY, METALS, painted_plastic
from lightdet.data.synthesis.workpiece import Hole, Pad, Rim, Screw, Seam, Workpiece

Station = Callable[[np.random.Generator, int], Workpiece]
Surface = Callable[[np.random.Generator, int], Grey]


def _blank(rng: np.random.Generator, size: int, kinds: tuple[Surface, ...]) -> Workpiece:
    surface = kinds[rng.integers(len(kinds))]
    bare = surface(rng, size)
    bearing = np.deg2rad(-120 + rng.normal(0, 25))
    light = (float(np.cos(bearing)), float(np.sin(bearing)))
    busy = np.zeros((size, size), dtype=bool)
    return Workpiece(size, light, surface is not painted_plastic, bare, bare.copy(), busy)


def plain(rng: np.random.Generator, size: int) -> Workpiece:
    """A sheet that fills the picture, sometimes with an engraved part number."""
    piece = _blank(rng, size, EVERY)
    if rng.random() < 0.2:
        _engrave(piece, rng)
    return piece


def _engrave(piece: Workpiece, rng: np.random.Generator) -> None:
    text = "".join(rng.choice(list("ABCDEFHKLMNPRSTX0123456789"), 5))
    scale = rng.uniform(0.45, 0.6) * piece.unit
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    left = int(rng.uniform(4, piece.size - width - 4))
    base = int(rng.choice([height + 6, piece.size - 8]))
    ink = np.zeros((piece.size, piece.size), dtype=np.uint8)
    cv2.putText(ink, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_AA)
    cut = ink.astype(np.float32) / 255
    piece.image += np.float32(16) * np.roll(cut, (1, 1), (0, 1)) - np.float32(30) * cut
    piece.busy[max(0, base - height - 4) : base + 5, max(0, left - 4) : left + width + 4] = True


def rimmed(rng: np.random.Generator, size: int) -> Workpiece:
    """A part whose straight edge runs through the picture, before a dark backdrop."""
    piece = _blank(rng, size, EVERY)
    x, y = coordinates(size)
    angle = rng.choice([0, 90, 180, 270]) + rng.normal(0, 7)
    offset = rng.uniform(0.16, 0.3) * size
    along, depth = turned(x, y, (size / 2, size / 2), np.deg2rad(angle))
    depth = depth + np.float32(size / 2 - offset)
    tone = np.float32(rng.uniform(28, 46))
    backdrop = tone + np.float32(2) * clouds(rng, size, 3) + np.float32(1.2) * grain(rng, size, 1)
    piece.rim = Rim(along, depth, backdrop)
    piece.image = draw_rim(piece.bare, piece.rim, depth, rim_light(piece, np.deg2rad(angle)))
    piece.busy = depth < np.float32(5 * piece.unit)
    return piece


def rim_light(piece: Workpiece, angle: float) -> float:
    """How much a bevel whose inward normal is at `angle` + 90 degrees faces the lamp: -1..1."""
    return float(np.sin(angle) * piece.light[0] - np.cos(angle) * piece.light[1])


def _row(rng: np.random.Generator, size: int, spacing: float, reach: float) -> list[tuple[float, float]]:
    """Places of fittings: a slightly turned lattice of one or two rows, all with `reach` px inside the picture."""
    angle = rng.choice([0.0, 90.0]) + rng.normal(0, 4)
    rows = int(rng.integers(1, 3))
    lines = (np.arange(rows) - (rows - 1) / 2) * spacing * rng.uniform(1.25, 1.6)
    lines += rng.uniform(-0.16, 0.16) * size
    steps = (np.arange(-6, 7) + rng.uniform(-0.5, 0.5)) * spacing
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    centre = size / 2
    places = [
        (float(centre + step * cosine - line * sine), float(centre + step * sine + line * cosine))
        for line in lines
        for step in steps
    ]
    inside = [(x, y) for x, y in places if reach < x < size - reach and reach < y < size - reach]
    return inside or [(centre, centre)]


def _occupy(piece: Workpiece, x: float, y: float, reach: float) -> None:
    columns, rows = coordinates(piece.size)
    local = window(piece.size, x, y, reach)
    piece.busy[local] |= np.hypot(columns[local] - np.float32(x), rows[local] - np.float32(y)) < reach


def drilled(rng: np.random.Generator, size: int) -> Workpiece:
    """A plate with a row or two of round, chamfered holes."""
    piece = _blank(rng, size, EVERY)
    radius = rng.uniform(7.5, 11) * piece.unit
    for x, y in _row(rng, size, radius * rng.uniform(4.2, 5.2), 2.1 * radius):
        hole = Hole(x, y, radius)
        draw_hole(piece.image, hole, piece.light)
        piece.holes.append(hole)
        _occupy(piece, x, y, 1.7 * radius)
    return piece


def screwed(rng: np.random.Generator, size: int) -> Workpiece:
    """A cover held by a row or two of equal screws."""
    piece = _blank(rng, size, EVERY)
    radius = rng.uniform(9.5, 13) * piece.unit
    drive = str(rng.choice(["cross", "slot", "hex"]))
    tone = float(rng.uniform(150, 195)) if piece.bare.mean() < 150 else float(rng.uniform(85, 130))
    for x, y in _row(rng, size, radius * rng.uniform(3.3, 4.2), 1.6 * radius):
        screw = Screw(x, y, radius, float(rng.uniform(0, np.pi)), drive, tone)
        draw_screw(piece.image, screw, piece.light)
        piece.screws.append(screw)
        _occupy(piece, x, y, 1.6 * radius)
    return piece


def contacts(rng: np.random.Generator, size: int) -> Workpiece:
    """A row of bright plated contacts on a dark moulded carrier."""
    piece = _blank(rng, size, (painted_plastic,))
    piece.bare = piece.bare - np.float32(piece.bare.mean() - rng.uniform(52, 85))
    piece.image = piece.bare.copy()
    half_width = rng.uniform(9.5, 14) * piece.unit
    half_length = rng.uniform(26, 40) * piece.unit
    angle = float(np.deg2rad(rng.choice([0.0, 90.0]) + rng.normal(0, 3)))
    pitch = half_width * rng.uniform(2.7, 3.4)
    tone, slide, shift = float(rng.uniform(165, 200)), rng.normal(0, 9) * piece.unit, rng.uniform(-0.5, 0.5)
    for step in range(-6, 7):
        across = (step + shift) * pitch
        x = float(size / 2 + slide * np.cos(angle) - across * np.sin(angle))
        y = float(size / 2 + slide * np.sin(angle) + across * np.cos(angle))
        if not (half_width + 3 < min(x, y) and max(x, y) < size - half_width - 3):
            continue
        pad = Pad(x, y, half_length, half_width, angle, tone + float(rng.normal(0, 3)))
        draw_pad(piece.image, pad, piece.light)
        piece.pads.append(pad)
    columns, rows = coordinates(size)
    along, _ = turned(columns, rows, (size / 2, size / 2), angle)
    piece.busy = np.abs(along - np.float32(slide)) < half_length + 4 * piece.unit
    return piece


def welded(rng: np.random.Generator, size: int) -> Workpiece:
    """Two sheets joined by a bead, with the dark bands the heat leaves beside it."""
    piece = _blank(rng, size, METALS)
    x, y = coordinates(size)
    angle = np.deg2rad(rng.choice([0.0, 90.0, rng.uniform(25, 65), rng.uniform(115, 155)]) + rng.normal(0, 5))
    along, across = turned(x, y, (size / 2, size / 2), angle)
    across = across - np.float32(rng.uniform(-0.15, 0.15) * size)
    nominal = rng.uniform(8, 11.5) * piece.unit
    waves = np.float32(2 * np.pi / (rng.uniform(25, 45) * piece.unit))
    sway = np.sin(along * waves + np.float32(rng.uniform(0, 6)))
    half_width = np.float32(nominal) * (1 + np.float32(0.05) * sway)
    across = across + np.float32(0.6 * piece.unit) * np.sin(along * waves * np.float32(0.6))
    piece.seam = Seam(along, across, half_width, float(nominal))
    distance = np.abs(across)
    tint = np.exp(-(((distance - np.float32(1.9 * nominal)) / np.float32(0.6 * nominal)) ** 2))
    joint = np.exp(-((across / np.float32(1.3 * piece.unit)) ** 2))
    piece.bare = piece.bare - np.float32(rng.uniform(5, 14)) * tint - np.float32(75) * joint
    piece.image = piece.bare.copy()
    light_across = float(-np.sin(angle) * piece.light[0] + np.cos(angle) * piece.light[1])
    tone, pitch = rng.uniform(120, 175), rng.uniform(4.2, 6) * piece.unit
    draw_bead(piece.image, piece.seam, float(pitch), float(rng.uniform(10, 18)), float(tone), light_across)
    piece.busy = distance < np.float32(2.2 * nominal)
    return piece


def washers(rng: np.random.Generator, size: int) -> Workpiece:
    """A turned ring: a machined face with one large, intact bore."""
    piece = _blank(rng, size, METALS)
    radius = rng.uniform(17, 26) * piece.unit
    reach = 1.6 * radius
    hole = Hole(float(rng.uniform(reach, size - reach)), float(rng.uniform(reach, size - reach)), float(radius))
    draw_hole(piece.image, hole, piece.light)
    x, y = coordinates(size)
    along, across = turned(x, y, (hole.x, hole.y), 0.0)
    piece.image -= np.float32(10) * coverage(np.abs(ellipse(along, across, 1.45 * radius, 1.45 * radius)) - 1, 1.5)
    _occupy(piece, hole.x, hole.y, 1.55 * radius)
    return piece
