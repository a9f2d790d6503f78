"""Finds near copies: images of two splits that show the same, apart from compression, brightness, a small shift or a
flip or turn.

Two steps. The signs of the 63 lowest frequencies of a thumbnail (a perceptual hash after Zauner 2010, "Implementation
and benchmarking of perceptual image hash functions"; signs, as they do not depend on brightness and contrast) find
candidates: a flip changes the signs of odd frequencies and a turn swaps rows and columns, so that one transform gives
all eight hashes of an image. Candidates are then shifted onto each other and compared pixel by pixel: textures and
parts in front of one camera look alike as thumbnails without being the same image.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.data.image import read_image
from lightdet.data.record import Record, Splits

THUMB, LOW = 32, 8  # px, side of the thumbnail; frequencies of each axis
MOST_BITS = 12  # of 63 that may differ; in NEU-DET 9 of a million pairs differ in so few, 4 of them near copies
BANDS, BAND = 9, 7  # pieces of a hash, bits each: a candidate has one piece in common
ROWS = 256  # hashes compared at once with all of a bucket
COMPARED = 1000  # candidates, those with the fewest different bits first
SIDE, MARGIN = 128, 8  # px of the comparison, and how far an image may be shifted there
CORRELATION = 0.98  # of the same image after JPEG at quality 30, noise or a shift of 1 %: 0.986 and more
RESIDUAL = 0.5  # standard deviations: a place that differs more is another defect on a part of the same kind


class NearCopy(NamedTuple):
    """Two images of different splits that show the same."""

    first: Record
    second: Record
    splits: tuple[str, str]
    bits: int  # of 63 that differ
    turn: int  # the position of TURNS in which the second shows the first


TURNS = ("", "mirrored", "upside down", "turned by 180", "transposed", "turned by 90", "turned by 270", "transversed")


def hash_of(image: np.ndarray) -> int:
    """63 bits of an (H, W, 3) uint8 image: bit 8 * row + column is set where that frequency of its thumbnail is
    positive; bit 0, the mean, is never set."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    signs = (cv2.dct(grey.astype(np.float32))[:LOW, :LOW] > 0).ravel()
    signs[0] = False
    return int(np.packbits(signs, bitorder="little").view(np.uint64)[0])


def turned_hashes(hashes: np.ndarray) -> np.ndarray:
    """(N,) uint64 hashes -> (8, N): of each image as it is and in the other seven positions, in the order of TURNS."""
    signs = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1, bitorder="little").reshape(-1, LOW, LOW)
    odd = (np.arange(LOW) % 2).astype(np.uint8)
    masks = [across * odd[None, :] ^ down * odd[:, None] for down in (0, 1) for across in (0, 1)]
    variants = [each ^ mask for each in (signs, signs.transpose(0, 2, 1)) for mask in masks]
    flat = np.stack(variants).reshape(8, -1, LOW * LOW)
    flat[:, :, 0] = 0
    return np.packbits(flat, axis=2, bitorder="little").view(np.uint64)[..., 0]


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    """An image in the position TURNS[turn]."""
    image = image.swapaxes(0, 1) if turn >= 4 else image
    return image[:: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]


def candidates(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int, int, int]]:
    """(bits, i, j, turn) of the pairs of first[i] and second[j] whose hashes differ in at most MOST_BITS, the fewest
    bits first; of the positions of a pair the best. Most pairs of 12 different bits are found, and nearly all of fewer:
    those without an equal piece of BAND bits are not compared."""
    queries = turned_hashes(second).ravel()
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for band in range(BANDS):
        shift, mask = np.uint64(1 + BAND * band), np.uint64(2**BAND - 1)
        keys, asked = (first >> shift) & mask, (queries >> shift) & mask
        order, asked_order = np.argsort(keys, kind="stable"), np.argsort(asked, kind="stable")
        starts = np.searchsorted(keys[order], np.arange(2**BAND + 1, dtype=np.uint64))
        asked_starts = np.searchsorted(asked[asked_order], np.arange(2**BAND + 1, dtype=np.uint64))
        for key in range(2**BAND):
            here = order[starts[key] : starts[key + 1]]
            there = asked_order[asked_starts[key] : asked_starts[key + 1]]
            for row in range(0, len(here), ROWS):
                some = here[row : row + ROWS]
                bits = _count_bits(first[some][:, None] ^ queries[there][None, :])
                for i, j in zip(*np.nonzero(bits <= MOST_BITS), strict=True):
                    turn, image = divmod(int(there[j]), len(second))
                    pair = (int(some[i]), image)
                    best[pair] = min(best.get(pair, (64, 0)), (int(bits[i, j]), turn))
    return sorted((bits, i, j, turn) for (i, j), (bits, turn) in best.items())


_BITS_OF = np.array([number.bit_count() for number in range(2**16)], dtype=np.uint8)


def _count_bits(numbers: np.ndarray) -> np.ndarray:
    """The set bits of uint64 numbers."""
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.bitwise_count(numbers)
    return _BITS_OF[numbers[..., None].view(np.uint16)].sum(axis=-1, dtype=np.uint8)


def near_copies(splits: Splits, hashes: Mapping[Path, tuple[bytes, int]]) -> tuple[list[NearCopy], int]:
    """The near copies across splits, the most similar first, and how many candidates were not compared.

    `hashes`: the digest of the pixels and the hash of each image that can have near copies; images with equal digests
    are the same, and no near copies.
    """
    known = {name: [record for record in records if record.path in hashes] for name, records in splits.items()}
    pairs: list[NearCopy] = []
    for one, other in combinations(known, 2):
        a, b = (np.array([hashes[each.path][1] for each in known[name]], dtype=np.uint64) for name in (one, other))
        pairs += [NearCopy(known[one][i], known[other][j], (one, other), bits, k) for bits, i, j, k in candidates(a, b)]
    pairs = [pair for pair in pairs if hashes[pair.first.path][0] != hashes[pair.second.path][0]]
    pairs.sort(key=lambda pair: (pair.bits, pair.first.image_id, pair.second.image_id))
    nearest = pairs[:COMPARED]
    bits_of = {record.path: record.bits for pair in nearest for record in (pair.first, pair.second)}
    with ThreadPoolExecutor() as pool:
        small = dict(zip(bits_of, pool.map(_prepared, bits_of, bits_of.values()), strict=True))
    same = [pair for pair in nearest if _same(small[pair.first.path], small[pair.second.path], pair.turn)]
    return same, len(pairs) - len(nearest)


def _prepared(path: Path, bits: int | None) -> np.ndarray | None:
    try:
        grey = cv2.cvtColor(read_image(path, bits), cv2.COLOR_RGB2GRAY)
    except LightdetError:  # it has changed since it was examined
        return None
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.0)


def _same(first: np.ndarray | None, second: np.ndarray | None, turn: int) -> bool:
    """Whether two prepared images show the same once one is shifted onto the other, at any brightness and contrast."""
    if first is None or second is None:
        return False
    second = np.ascontiguousarray(turned(second, turn))
    window = cv2.createHanningWindow((SIDE, SIDE), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(first - first.mean(), second - second.mean(), window)  # it changes what it is given
    for shift_x, shift_y in ((0.0, 0.0), (x, y)):
        if max(abs(shift_x), abs(shift_y)) <= MARGIN:
            move = np.array([[1, 0, -shift_x], [0, 1, -shift_y]], dtype=np.float32)
            a, b = first, cv2.warpAffine(second, move, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
            a, b = (_standard(each[MARGIN:-MARGIN, MARGIN:-MARGIN]) for each in (a, b))
            if (a * b).mean() >= CORRELATION and cv2.blur(np.abs(a - b), (5, 5)).max() <= RESIDUAL:
                return True
    return False


def _standard(values: np.ndarray) -> np.ndarray:
    """Mean 0, standard deviation 1."""
    return (values - values.mean()) / max(float(values.std()), 1e-6)
