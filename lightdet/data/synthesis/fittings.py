"""Intact fittings, drawn in place on a canvas: screws, holes, contacts, weld beads and outer edges."""

import numpy as np

from lightdet.data.synthesis.canvas import (
    Grey,
    coordinates,
    coverage,
    ellipse,
    lay,
    rounded_box,
    turned,
    window,
)
from lightdet.data.synthesis.workpiece import Hole, Pad, Rim, Screw, Seam

Light = tuple[float, float]
HOLLOW = 26.0  # grey level at the bottom of a hole


def drive_distance(along: Grey, across: Grey, drive: str, radius: float) -> Grey:
    """Signed distance to the recess of a screw head, px."""
    if drive == "hex":
        third = np.float32(np.sqrt(3) / 2)
        sides = np.maximum(np.abs(along), np.abs(along * np.float32(0.5)) + np.abs(across) * third)
        return sides - np.float32(0.42 * radius)
    slot = np.maximum(np.abs(along) - np.float32(0.72 * radius), np.abs(across) - np.float32(0.13 * radius))
    if drive == "slot":
        return slot
    long, thin = np.float32(0.62 * radius), np.float32(0.14 * radius)
    first = np.maximum(np.abs(along) - long, np.abs(across) - thin)
    second = np.maximum(np.abs(across) - long, np.abs(along) - thin)
    return np.minimum(first, second)


def draw_screw(image: Grey, screw: Screw, light: Light) -> None:
    """A pan head, seated flat."""
    radius = screw.radius
    x, y = coordinates(image.shape[0])
    local = window(image.shape[0], screw.x, screw.y, 1.5 * radius)
    right, down = x[local] - np.float32(screw.x), y[local] - np.float32(screw.y)
    shade = np.hypot(right + np.float32(0.16 * radius * light[0]), down + np.float32(0.16 * radius * light[1]))
    under = image[local] * (1 - np.float32(0.45) * coverage(shade - np.float32(1.04 * radius), 3.0))
    distance = np.hypot(right, down) - np.float32(radius)
    facing = (right * np.float32(light[0]) + down * np.float32(light[1])) / np.float32(radius)
    bevel = coverage(-(distance + np.float32(0.12 * radius)), 2.0)
    head = np.float32(screw.tone) + np.float32(26) * facing - np.float32(38) * bevel
    along, across = turned(right, down, (0.0, 0.0), screw.angle)
    recess = drive_distance(along, across, screw.drive, radius)
    head = lay(head, np.float32(42) - np.float32(14) * facing, coverage(recess))
    image[local] = lay(under, head, coverage(distance))


def draw_hole(
    image: Grey, hole: Hole, light: Light, stretch: tuple[float, float] = (1.0, 1.0), angle: float = 0.0
) -> None:
    """A drilled, chamfered hole; `stretch` are the factors on its radius along `angle` (rad) and across it."""
    x, y = coordinates(image.shape[0])
    local = window(image.shape[0], hole.x, hole.y, 1.4 * hole.radius * max(stretch))
    along, across = turned(x[local], y[local], (hole.x, hole.y), angle)
    bore = ellipse(along, across, hole.radius * stretch[0], hole.radius * stretch[1])
    chamfer = np.float32(0.2 * hole.radius)
    right, down = x[local] - np.float32(hole.x), y[local] - np.float32(hole.y)
    facing = (right * np.float32(light[0]) + down * np.float32(light[1])) / np.float32(hole.radius)
    slope = image[local] - np.float32(34) * facing
    under = lay(image[local], slope, coverage(bore - chamfer))
    wall = np.float32(HOLLOW + 10) - np.float32(26) * facing
    image[local] = lay(under, np.maximum(wall, np.float32(16)), coverage(bore))


def draw_pad(image: Grey, pad: Pad, light: Light) -> None:
    """A plated contact with a thin bevel."""
    x, y = coordinates(image.shape[0])
    local = window(image.shape[0], pad.x, pad.y, 1.15 * np.hypot(pad.half_length, pad.half_width))
    along, across = turned(x[local], y[local], (pad.x, pad.y), pad.angle)
    distance = rounded_box(along, across, pad.half_length, pad.half_width, 0.22 * pad.half_width)
    shade = rounded_box(
        along + np.float32(1.4), across + np.float32(1.4), pad.half_length, pad.half_width, 0.3 * pad.half_width
    )
    under = image[local] * (1 - np.float32(0.35) * coverage(shade, 3.0))
    tilt = np.float32(9) * along / np.float32(pad.half_length)
    plate = np.float32(pad.tone) + tilt + np.float32(0.35) * (image[local] - image[local].mean())
    plate -= np.float32(24) * coverage(-(distance + np.float32(1.6)), 1.5)
    image[local] = lay(under, plate, coverage(distance))


def draw_bead(image: Grey, seam: Seam, pitch: float, ripple: float, tone: float, light_across: float) -> None:
    """A weld bead with its chevron ripples; `light_across` is how much of the light comes from its positive side."""
    place = seam.across / seam.half_width  # -1..1 over the bead
    arch = np.sqrt(np.clip(1 - place**2, 0, 1))
    phase = (seam.along + np.float32(1.2 * pitch) * place**2) * np.float32(2 * np.pi / pitch)
    scales = np.sin(phase) + np.float32(0.4) * np.sin(2 * phase + 1)
    bead = np.float32(tone) + np.float32(26 * light_across) * place + np.float32(30) * (arch - np.float32(0.7))
    bead += np.float32(ripple) * scales * (np.float32(0.35) + np.float32(0.65) * arch)
    distance = np.abs(seam.across) - seam.half_width
    toe = np.exp(-((distance / np.float32(1.8)) ** 2))
    image[:] = lay(image, bead, coverage(distance, 1.5)) - np.float32(30) * toe


def draw_rim(surface: Grey, rim: Rim, depth: Grey, lit: float) -> Grey:
    """The part up to its edge and the backdrop beyond; `depth` is the rim's own, or a deformed one.

    `lit` in -1..1 says how much the bevel faces the lamp.
    """
    bevel = np.exp(-(((depth - np.float32(2.0)) / np.float32(1.6)) ** 2))
    part = surface + np.float32(20 + 30 * lit) * bevel
    shadow = np.float32(0.5) * np.exp(np.minimum(depth, 0) / np.float32(5))
    return lay(rim.backdrop * (1 - shadow), part, coverage(-depth, 1.4))
