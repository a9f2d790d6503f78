"""What lies under the camera: a surface with whatever is fitted to it."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from lightdet.data.synthesis.canvas import Grey


@dataclass(frozen=True, slots=True)
class Screw:
    x: float  # px, centre
    y: float  # px
    radius: float  # px, of the head
    angle: float  # rad, of the drive
    drive: str  # "cross", "slot" or "hex"
    tone: float  # grey level


@dataclass(frozen=True, slots=True)
class Hole:
    x: float  # px, centre
    y: float  # px
    radius: float  # px


@dataclass(frozen=True, slots=True)
class Pad:
    """An electrical contact."""

    x: float  # px, centre
    y: float  # px
    half_length: float  # px
    half_width: float  # px
    angle: float  # rad, of its length
    tone: float  # grey level


@dataclass(frozen=True, slots=True)
class Seam:
    """A weld bead along a joint."""

    along: Grey  # px along the joint, of every pixel
    across: Grey  # px from the bead's centre line, signed
    half_width: Grey  # px, of the bead beside every pixel
    nominal: float  # px, the mean of half_width


@dataclass(frozen=True, slots=True)
class Rim:
    """A straight outer edge of the part."""

    along: Grey  # px along the edge, of every pixel
    depth: Grey  # px inside the part, negative outside
    backdrop: Grey  # what is seen beyond the edge


@dataclass(slots=True)
class Workpiece:
    """A part without a defect, and all a painter needs to spoil it."""

    size: int  # px, side of the picture
    light: tuple[float, float]  # unit vector towards the lamp
    metal: bool
    bare: Grey  # the surface alone
    image: Grey  # with everything fitted, and the defects painted so far
    busy: NDArray[np.bool_]  # where something is fitted, spoilt, or not part of the surface
    screws: list[Screw] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    pads: list[Pad] = field(default_factory=list)
    seam: Seam | None = None
    rim: Rim | None = None

    @property
    def unit(self) -> float:
        """px for one px of a picture 160 px wide: all lengths below are given for that size."""
        return self.size / 160

    def free_place(
        self, rng: np.random.Generator, wish: float, least: float
    ) -> tuple[tuple[float, float], float] | None:
        """A random place with undisturbed surface around it: its centre and the radius that is free, px.

        The radius is `wish`, or less where the free surface is smaller; None when that is below `least`.
        """
        free = np.pad((~self.busy).astype(np.uint8), 1)
        clearance = cv2.distanceTransform(free, cv2.DIST_L2, 3)[1:-1, 1:-1]
        reach = min(wish, 0.97 * float(clearance.max()))
        if reach < least:
            return None
        places = np.flatnonzero(clearance > reach)
        row, column = divmod(int(places[rng.integers(len(places))]), self.size)
        return (column + 0.5, row + 0.5), reach
