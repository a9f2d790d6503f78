"""Surfaces of many materials with defects of seven shapes, for the training of the starting weights.

The embedded data set shows six kinds of defects on the parts of one imagined factory. Here half of the images are its
parts under other light and colour, and half are bare surfaces whose texture, tone and defects are drawn wider than any
one product's. An image is a pure function of (seed, number, size).
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lightdet.data.synthesis.canvas import Grey, blob, bounds, clouds, coordinates, coverage, turned
from lightdet.data.synthesis.scene import CLASSES as PART_CLASSES
from lightdet.data.synthesis.scene import compose
from lightdet.data.synthesis.surfaces import EVERY

PARTS = 0.4  # share of images that show a part of the embedded data set
GOOD = 0.06  # share of surfaces without a defect
VISIBLE = 6.0  # grey levels: what changes less does not count for a box
LEAST_SIDE = 5  # px of a box
LEAST_CONTRAST = 9.0  # grey levels in the mean, beside half the deviation of what lies under the defect
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Drawing:
    image: NDArray[np.uint8]  # (size, size, 3) BGR
    boxes_xyxy: list[tuple[float, float, float, float]]  # px
    labels: list[int]  # index into CLASSES


def draw(seed: int, number: int, size: int) -> Drawing:
    rng = np.random.default_rng((seed, number))
    if rng.random() < PARTS:
        part = compose(seed + 1, number, size)
        image = part.image.astype(np.float32)
        boxes = [(float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in part.boxes_xyxy]
        labels = [int(label) for label in part.labels]
    else:
        image, boxes, labels = _surface(rng, size)
    return Drawing(_photographed(rng, image), boxes, labels)


def _surface(rng: Rng, size: int) -> tuple[Grey, list[tuple[float, float, float, float]], list[int]]:
    image = _material(rng, size)
    boxes: list[tuple[float, float, float, float]] = []
    labels: list[int] = []
    if rng.random() < GOOD:
        return image, boxes, labels
    main = int(rng.integers(len(SHAPES)))
    for _ in range(int(rng.choice(5, p=[0.4, 0.25, 0.15, 0.12, 0.08])) + 1):
        kind = main if rng.random() < 0.8 else int(rng.integers(len(SHAPES)))
        after = _spoiled(rng, image, list(SHAPES.values())[kind](rng, size))
        changed = cv2.blur(np.abs(after - image), (3, 3)) >= VISIBLE
        box = bounds(changed)
        if box is None or min(box[2] - box[0], box[3] - box[1]) < LEAST_SIDE or any(_touch(box, b) for b in boxes):
            continue
        left, top, right, bottom = (int(side) for side in box)
        around = image[top:bottom, left:right].std()
        if np.abs(after - image)[changed].mean() < LEAST_CONTRAST + around / 2:  # nobody would see it
            continue
        image = np.where(changed, after, image)
        boxes.append(box)
        labels.append(len(PART_CLASSES) + kind)
    return image, boxes, labels


def _touch(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _material(rng: Rng, size: int) -> Grey:
    """A bare texture: a surface of the embedded data set, noise of any spectrum and direction, or a weave."""
    kind = rng.random()
    if kind < 0.3:
        image = EVERY[rng.integers(len(EVERY))](rng, size)
    elif kind < 0.8:
        image = np.float32(rng.uniform(50, 200)) + np.float32(rng.uniform(2, 22)) * _spectrum(rng, size)
    else:
        image = _weave(rng, size)
    shade = np.float32(rng.uniform(0, 14)) * clouds(rng, size, int(rng.integers(1, 4)))
    return np.asarray(image + shade, dtype=np.float32)


def _spectrum(rng: Rng, size: int) -> Grey:
    """Noise whose strength falls with frequency, of mean 0 and deviation 1; often longer in one direction."""
    down = np.fft.fftfreq(size)[:, None]
    right = np.fft.rfftfreq(size)[None, :]
    stretch = float(np.exp(rng.uniform(-2.2, 2.2))) if rng.random() < 0.5 else 1.0
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    along, across = np.cos(angle) * right + np.sin(angle) * down, np.cos(angle) * down - np.sin(angle) * right
    frequency = np.sqrt((along * stretch) ** 2 + (across / stretch) ** 2) + 1.5 / size
    waves = np.fft.rfft2(rng.standard_normal((size, size))) * frequency ** -rng.uniform(0.3, 2.0)
    noise = np.fft.irfft2(waves, s=(size, size)).astype(np.float32)
    return (noise - noise.mean()) / (noise.std() + np.float32(1e-6))


def _weave(rng: Rng, size: int) -> Grey:
    """A periodic pattern: stripes, a grid, a fabric; slightly bent."""
    x, y = coordinates(size)
    along, across = turned(x, y, (size / 2, size / 2), rng.uniform(0, np.pi))
    bend = np.float32(rng.uniform(0, 3)) * clouds(rng, size, 3)
    pitch = rng.uniform(5, 28)
    first = np.sin((along + bend) * np.float32(2 * np.pi / pitch))
    second = np.sin((across + bend) * np.float32(2 * np.pi / (pitch * rng.choice([1.0, 1.0, rng.uniform(0.5, 2)]))))
    pattern = (first, first * second, np.maximum(first, second), np.sign(first * second))[rng.integers(4)]
    noise = np.float32(rng.uniform(1, 6)) * _spectrum(rng, size)
    return np.float32(rng.uniform(70, 180)) + np.float32(rng.uniform(8, 35)) * pattern + noise


def _spot(rng: Rng, size: int, margin: float = 0.08) -> tuple[float, float]:
    low, high = margin * size, (1 - margin) * size
    return float(rng.uniform(low, high)), float(rng.uniform(low, high))


def _stain(rng: Rng, size: int) -> Grey:
    """An irregular round or long shape."""
    along, across = turned(*coordinates(size), _spot(rng, size), rng.uniform(0, np.pi))
    stretch = np.float32(rng.uniform(1, 3))
    radius = float(np.exp(rng.uniform(np.log(4), np.log(0.22 * size))))
    return coverage(blob(along / stretch, across, radius, rng.uniform(0, 0.35), rng), float(rng.uniform(1, 6)))


def _crack(rng: Rng, size: int) -> Grey:
    """A path that wanders, with branches."""
    ink = np.zeros((size, size), np.uint8)
    for start, heading, length in _branches(rng, size):
        steps = max(3, int(length / 4))
        turns = heading + np.cumsum(rng.normal(0, 0.35, steps))
        points = np.cumsum(np.stack((np.cos(turns), np.sin(turns)), 1) * 4, 0) + start
        fixed = np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(ink, [fixed], False, 255, int(rng.integers(1, 3)), cv2.LINE_AA, 4)
    return cv2.GaussianBlur(ink.astype(np.float32) / 255, (0, 0), rng.uniform(0.3, 0.9))


def _branches(rng: Rng, size: int) -> list[tuple[tuple[float, float], float, float]]:
    heading, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.7) * size
    spot = _spot(rng, size, 0.2)
    paths = [(spot, heading, length)]
    for _ in range(int(rng.integers(0, 6))):
        near = (spot[0] + rng.normal(0, 0.08) * size, spot[1] + rng.normal(0, 0.08) * size)
        paths.append((near, rng.uniform(0, 2 * np.pi), length * rng.uniform(0.2, 0.7)))
    return paths


def _pits(rng: Rng, size: int) -> Grey:
    """Many small dots in one region."""
    ink = np.zeros((size, size), np.uint8)
    centre, spread = _spot(rng, size, 0.15), rng.uniform(0.04, 0.2, 2) * size
    for _ in range(int(rng.integers(6, 60))):
        x, y = centre[0] + rng.normal(0, spread[0]), centre[1] + rng.normal(0, spread[1])
        radius = rng.uniform(0.6, 3.2)
        cv2.circle(
            ink, (round(x * 16), round(y * 16)), round(radius * 16), int(rng.integers(120, 256)), -1, cv2.LINE_AA, 4
        )
    return cv2.GaussianBlur(ink.astype(np.float32) / 255, (0, 0), 0.6)


def _strokes(rng: Rng, size: int) -> Grey:
    """One or several nearly parallel lines."""
    ink = np.zeros((size, size), np.uint8)
    centre, heading = _spot(rng, size, 0.15), rng.uniform(0, np.pi)
    reach = rng.uniform(0.06, 0.45) * size
    for _ in range(int(rng.choice([1, 1, 2, 3, 8]))):
        shift = rng.normal(0, 0.03, 2) * size
        turn = heading + rng.normal(0, 0.08)
        ends = [
            (centre[i] + shift[i] + sign * reach * f(turn)) for sign in (-1, 1) for i, f in ((0, np.cos), (1, np.sin))
        ]
        x1, y1, x2, y2 = (round(end * 16) for end in ends)
        cv2.line(ink, (x1, y1), (x2, y2), int(rng.integers(140, 256)), int(rng.integers(1, 4)), cv2.LINE_AA, 4)
    return cv2.GaussianBlur(ink.astype(np.float32) / 255, (0, 0), rng.uniform(0.3, 1.2))


def _streak(rng: Rng, size: int) -> Grey:
    """A long soft band, as rolling and drawing leave it."""
    along, across = turned(
        *coordinates(size), _spot(rng, size), float(rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]))
    )
    length, width = rng.uniform(0.1, 0.5) * size, rng.uniform(1.2, 7)
    ragged = np.float32(width) * (1 + np.float32(0.4) * clouds(rng, size, 12))
    return coverage(np.abs(across) - ragged, 2.0) * coverage(
        np.abs(along) - np.float32(length), float(rng.uniform(2, 20))
    )


def _patch(rng: Rng, size: int) -> Grey:
    """A region of ragged islands."""
    along, across = turned(*coordinates(size), _spot(rng, size, 0.15), rng.uniform(0, np.pi))
    region = coverage(
        blob(along / np.float32(rng.uniform(1, 2.5)), across, rng.uniform(0.07, 0.25) * size, 0.2, rng), 4.0
    )
    islands = _spectrum(rng, size) * 3 + np.float32(rng.uniform(-2, 2))
    return region * np.clip(islands, 0, 1)


def _ring(rng: Rng, size: int) -> Grey:
    """A closed or half-open outline: an edge of a scale, a dent's rim, a water mark."""
    along, across = turned(*coordinates(size), _spot(rng, size, 0.15), rng.uniform(0, np.pi))
    outline = blob(
        along / np.float32(rng.uniform(1, 2)), across, rng.uniform(0.04, 0.2) * size, rng.uniform(0, 0.3), rng
    )
    cover = coverage(np.abs(outline) - np.float32(rng.uniform(0.8, 3)), 1.5)
    if rng.random() < 0.5:
        cover = cover * (np.arctan2(across, along) > np.float32(rng.uniform(-2.5, 0.5)))
    return cover


SHAPES: dict[str, Callable[[Rng, int], Grey]] = {
    "stain": _stain,
    "crack": _crack,
    "pits": _pits,
    "strokes": _strokes,
    "streak": _streak,
    "patch": _patch,
    "ring": _ring,
}
CLASSES = (*PART_CLASSES, *SHAPES)


def _spoiled(rng: Rng, image: Grey, cover: Grey) -> Grey:
    """The image where `cover` (0..1) is darker, brighter, of another material, smeared or lit from aside."""
    strength = np.float32(rng.uniform(0.5, 1.0))
    kind = rng.random()
    if kind < 0.6:
        contrast = np.float32(rng.choice([-1, 1]) * rng.uniform(18, 100))
        return image + contrast * cover * (1 + np.float32(0.25) * clouds(rng, len(image), 10))
    if kind < 0.75:
        return image + (_material(rng, len(image)) - image) * cover * strength
    if kind < 0.85:
        smeared = cv2.GaussianBlur(image, (0, 0), rng.uniform(2, 6)) + np.float32(rng.normal(0, 12))
        return image + (smeared - image) * cover
    relief = cv2.GaussianBlur(cover, (0, 0), 1.2)
    light = np.roll(relief, (1, 1), (0, 1)) - np.roll(relief, (-1, -1), (0, 1))
    return image + np.float32(rng.choice([-1, 1]) * rng.uniform(50, 140)) * light - np.float32(15) * cover


def _photographed(rng: Rng, image: Grey) -> NDArray[np.uint8]:
    """Contrast, gamma, blur, noise, and in a third of the images a colour."""
    level = np.clip(image / 255, 0, 1)
    if rng.random() < 0.25:
        level = 1 - level
    level = np.clip((level - 0.5) * np.float32(rng.uniform(0.6, 1.3)) + np.float32(rng.uniform(0.35, 0.65)), 0, 1)
    level = level ** np.float32(np.exp(rng.uniform(-0.4, 0.4)))
    if rng.random() < 0.25:
        level = cv2.GaussianBlur(level, (0, 0), rng.uniform(0.4, 1.2))
    colour = np.ones(3, np.float32)
    if rng.random() < 0.35:
        colour = rng.uniform(0.55, 1.0, 3).astype(np.float32)
        colour /= colour.max()
    noisy = level[..., None] * colour * 255 + rng.normal(0, rng.uniform(0, 5), (*level.shape, 1))
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)
