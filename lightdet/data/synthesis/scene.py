"""One labelled synthetic image: a part is assembled intact, then spoilt; the label is what the spoiling changed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightdet.data.synthesis import (
    assembly_defect,
    functional_defect,
    material_defect,
    shape_deviation,
    stations,
    surface_defect,
    weld_defect,
)
from lightdet.data.synthesis.canvas import Grey, bounds, clouds
from lightdet.data.synthesis.workpiece import Workpiece

Painter = Callable[[Workpiece, np.random.Generator], Grey | None]
PAINTERS: dict[str, Painter] = {
    "surface_defect": surface_defect.paint,
    "shape_deviation": shape_deviation.paint,
    "material_defect": material_defect.paint,
    "weld_defect": weld_defect.paint,
    "functional_defect": functional_defect.paint,
    "assembly_defect": assembly_defect.paint,
}
CLASSES = tuple(PAINTERS)
STATIONS: dict[str, tuple[stations.Station, ...]] = {
    "surface_defect": (stations.plain, stations.plain, stations.plain, stations.drilled, stations.washers),
    "shape_deviation": (stations.plain, stations.drilled, stations.drilled, stations.rimmed, stations.rimmed),
    "material_defect": (stations.plain, stations.plain, stations.washers, stations.rimmed),
    "weld_defect": (stations.welded,),
    "functional_defect": (stations.contacts,),
    "assembly_defect": (stations.screwed,),
}
ON_PLASTIC, ON_METAL = (0,), (0, 2)  # what may come on top: surface_defect, and in metal material_defect
CYCLE, GOOD_PLACES = 25, (4, 12, 21)  # 3 images of every 25 are good: 12 %

VISIBLE = 5.0  # grey levels: a smaller change is not painted at all, so that boxes are tight
LOWEST, HIGHEST = 16.0, 216.0  # grey levels before lighting and noise, which never reach 0 or 255
SMALLEST, LARGEST, CROWDED = 10.0, 100.0, 3.0  # px at 160 px: side of a box, and the space between two
ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Drawing:
    image: NDArray[np.uint8]  # (size, size) grey
    intact: NDArray[np.uint8]  # the same part under the same light and noise before it was spoilt
    boxes_xyxy: NDArray[np.float32]  # (N, 4) px
    labels: NDArray[np.int64]  # (N,) index into CLASSES


def main_class(index: int) -> int | None:
    """The class that image number `index` is made for, all equally often; None for a good part."""
    cycle, place = divmod(index, CYCLE)
    if place in GOOD_PLACES:
        return None
    good_before = cycle * len(GOOD_PLACES) + sum(good < place for good in GOOD_PLACES)
    return (index - good_before) % len(CLASSES)


def compose(seed: int, index: int, size: int) -> Drawing:
    """Image number `index`: a pure function of its arguments. `size` is the side in px."""
    part, flaws, camera = (np.random.default_rng((seed, index, stream)) for stream in range(3))
    label = main_class(index)
    shown = CLASSES[part.integers(len(CLASSES)) if label is None else label]
    station = STATIONS[shown][part.integers(len(STATIONS[shown]))]
    piece = station(part, size)
    piece.image = np.clip(piece.image, LOWEST, HIGHEST)
    intact = piece.image
    boxes: list[tuple[float, float, float, float]] = []
    labels: list[int] = []
    for kind in _plan(flaws, label, piece):
        box = _spoil(piece, PAINTERS[CLASSES[kind]], flaws, boxes)
        if box is not None:
            boxes.append(box)
            labels.append(kind)
    gain, noise = _camera(camera, size)
    return Drawing(
        _expose(piece.image, gain, noise),
        _expose(intact, gain, noise),
        np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
        np.asarray(labels, dtype=np.int64),
    )


def _plan(rng: np.random.Generator, label: int | None, piece: Workpiece) -> list[int]:
    """The classes of the defects to paint: the image's own first, then more of it or of those that need no fitting."""
    if label is None:
        return []
    extra = ON_METAL if piece.metal else ON_PLASTIC
    more = int(rng.choice(3, p=[0.2, 0.4, 0.4]))
    return [label] + [label if rng.random() < 0.65 else int(rng.choice(extra)) for _ in range(more)]


def _spoil(
    piece: Workpiece, painter: Painter, rng: np.random.Generator, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, float, float] | None:
    """Paint one defect and return its tight box, px; None when no attempt found free surface."""
    for _ in range(ATTEMPTS):
        after = painter(piece, rng)
        if after is None:
            continue
        after = np.clip(after, LOWEST, HIGHEST)
        changed = np.abs(after - piece.image) >= VISIBLE
        box = bounds(changed)
        if box is None or not _fits(box, taken, piece):
            continue
        piece.image = np.where(changed, after, piece.image)
        left, top, right, bottom = (int(side) for side in box)
        piece.busy[top:bottom, left:right] = True
        return box
    return None


def _fits(
    box: tuple[float, float, float, float], taken: list[tuple[float, float, float, float]], piece: Workpiece
) -> bool:
    """Whether a box is of a fair size, inside the picture and clear of the others."""
    left, top, right, bottom = box
    sides = (right - left, bottom - top)
    if min(sides) < SMALLEST * piece.unit or max(sides) > LARGEST * piece.unit:
        return False
    if left < 1 or top < 1 or right > piece.size - 1 or bottom > piece.size - 1:
        return False
    space = CROWDED * piece.unit
    return all(
        left > other[2] + space or right < other[0] - space or top > other[3] + space or bottom < other[1] - space
        for other in taken
    )


def _camera(rng: np.random.Generator, size: int) -> tuple[Grey, Grey]:
    """Uneven lighting (a factor) and sensor noise (grey levels)."""
    gain = np.float32(rng.uniform(0.86, 1.0)) + np.clip(np.float32(0.05) * clouds(rng, size, 1), -0.12, 0.1)
    noise = rng.standard_normal((size, size), dtype=np.float32) * np.float32(rng.uniform(1.2, 2.8))
    return gain, np.clip(noise, -9, 9)


def _expose(image: Grey, gain: Grey, noise: Grey) -> NDArray[np.uint8]:
    return np.clip(np.round(image * gain + noise), 0, 255).astype(np.uint8)
