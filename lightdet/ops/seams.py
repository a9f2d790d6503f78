"""Joins what overlapping tiles show of the same objects. No torch here.

Two boxes of a class from two tiles are compared in the part of the image that both tiles show. Where neither is cut by
an edge of a tile, they are the same object as in any suppression, by intersection over union; where one is, by
intersection over the smaller box, since a tile shows only a piece of it. Of the same object one box remains: the best
scored one, of which a side that lies at the edge of its tile is taken from the best that sees beyond.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lightdet.ops.tiles import Tile

SAME = 0.5  # overlap above which two boxes are the same object
NEAR = 0.01  # of the tile's side: so near to its edge, or 2 px, a box counts as cut by it
INWARD = np.array([1, 1, -1, -1])  # direction from each side of a box (left, top, right, bottom) to its inside


class Pieces(NamedTuple):
    """Boxes of one image: boxes (N, 4) float32 xyxy in original px, scores (N,) float32, labels (N,) int64."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def joined(found: Sequence[Pieces], places: Sequence[Tile], height: int, width: int) -> Pieces:
    """What is found in each of the tiles that lie at `places` in an image of that size, px -> the same of the image,
    best first, each object once."""
    whole = Pieces(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
    tile = np.repeat(np.arange(len(found)), [len(each.scores) for each in found])
    corners = np.array(places)
    near = np.maximum(2, NEAR * np.tile(corners[:, 2:] - corners[:, :2], 2))  # (T, 4)
    inner: np.ndarray = corners != np.array([0, 0, width, height])  # (T, 4): edges that are none of the image
    # How far, px, each side lies inside of its tile, (N, 4).
    distance = (whole.boxes - corners[tile]) * INWARD
    cut = inner[tile] & (distance <= near[tile])
    return _grouped(whole, cut, near[tile], _partners(whole, tile, corners, near, inner))


def _partners(
    pieces: Pieces, tile: np.ndarray, corners: np.ndarray, near: np.ndarray, inner: np.ndarray
) -> dict[int, list[int]]:
    """For each box the boxes of other tiles that show the same object."""
    first = np.searchsorted(tile, np.arange(len(corners) + 1))
    partners: dict[int, list[int]] = defaultdict(list)
    for one, other in _neighbours(corners):
        both = [one, other]
        # Within these limits a box is cut by neither tile.
        edges = np.where(inner[both], corners[both] + near[both] * INWARD, -INWARD * np.inf)
        shown, limits = _common(corners[both]), _common(edges)
        sides = [_shown(pieces, first[each], first[each + 1], shown, limits) for each in (one, other)]
        (places, views, uncut), (their_places, their_views, their_uncut) = sides
        share = _overlap(views, their_views, uncut[:, None] & their_uncut)
        share[_slivers(views, their_views, near[both].max(axis=0)[:2])] = 0
        alike = pieces.labels[places][:, None] == pieces.labels[their_places]
        for row, column in zip(*np.nonzero(alike & (share > SAME)), strict=True):
            partners[int(places[row])].append(int(their_places[column]))
            partners[int(their_places[column])].append(int(places[row]))
    return partners


def _common(both: np.ndarray) -> np.ndarray:
    """(2, 4) -> (4,): what lies in both boxes."""
    return np.concatenate((both[:, :2].max(axis=0), both[:, 2:].min(axis=0)))


def _neighbours(corners: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of tiles that show a common part; tiles lie row by row."""
    for one in range(len(corners)):
        after = corners[one + 1 :]
        last = int(np.searchsorted(after[:, 1], corners[one, 3]))  # rows that begin above its lower edge
        apart = (after[:last, 0] >= corners[one, 2]) | (after[:last, 2] <= corners[one, 0])
        for place in np.flatnonzero(~apart):
            yield one, one + 1 + int(place)


def _shown(
    pieces: Pieces, begin: int, end: int, shown: np.ndarray, limits: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a tile's boxes those that reach into the part `shown`: their places (M,), that part of them (M, 4), and
    whether they lie within `limits` (M,)."""
    boxes = pieces.boxes[begin:end]
    views = np.concatenate((np.maximum(boxes[:, :2], shown[:2]), np.minimum(boxes[:, 2:], shown[2:])), axis=1)
    there = (views[:, 2:] > views[:, :2]).all(axis=1)
    uncut: np.ndarray = np.all((boxes - limits) * INWARD > 0, axis=1)
    return begin + np.flatnonzero(there), views[there], uncut[there]


def _overlap(views: np.ndarray, others: np.ndarray, uncut: np.ndarray) -> np.ndarray:
    """(M, 4), (K, 4) -> (M, K): intersection over union where `uncut` (M, K), elsewhere over the smaller one."""
    first, second = views[:, None], others[None]
    common = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    inside = common.clip(min=0).prod(axis=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=-1) for each in (first, second)]
    share: np.ndarray = inside / np.where(uncut, areas[0] + areas[1] - inside, np.minimum(*areas))
    return share


def _slivers(views: np.ndarray, others: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(M, 4), (K, 4), `near` (2,) in x and y -> (M, K): where one tile shows no more than the edge of a box, and the
    other one more than that of its own."""
    sizes = [views[:, None, 2:] - views[:, None, :2], others[None, :, 2:] - others[None, :, :2]]
    thin = (np.minimum(*sizes) < near) & (np.maximum(*sizes) >= 2 * near)
    different: np.ndarray = thin.any(axis=2)
    return different


def _grouped(pieces: Pieces, cut: np.ndarray, near: np.ndarray, partners: dict[int, list[int]]) -> Pieces:
    """One box for each object, best first."""
    rank = np.argsort(-pieces.scores, kind="stable")
    place_of = np.empty(len(rank), int)
    place_of[rank] = np.arange(len(rank))
    taken = np.zeros(len(rank), bool)
    boxes, kept = pieces.boxes.copy(), []
    for seed in rank.tolist():
        if taken[seed]:
            continue
        taken[seed] = True
        kept.append(seed)
        box, still_cut = boxes[seed], cut[seed].copy()
        waiting = [seed]
        while waiting:
            for other in sorted(partners.get(waiting.pop(0), ()), key=place_of.__getitem__):
                if not taken[other]:
                    taken[other] = True
                    if _continued(box, still_cut, pieces.boxes[other], cut[other], near[seed]):
                        waiting.append(other)
    return Pieces(boxes[kept], pieces.scores[kept], pieces.labels[kept])


def _continued(
    box: np.ndarray, still_cut: np.ndarray, other: np.ndarray, other_cut: np.ndarray, near: np.ndarray
) -> bool:
    """Takes the sides at which `box` is cut from another one that reaches further, or that ends there and is not cut;
    `box` and `still_cut` are changed. Whether there were any."""
    inside = (other - box) * INWARD
    better = still_cut & np.where(other_cut, inside < 0, inside <= near)
    box[better] = other[better]
    still_cut &= ~better | other_cut
    return bool(better.any())
