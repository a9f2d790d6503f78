"""The training images that lie nearest to an image in the embedding of a model, and how usual such a distance is."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightdet.data.record import Record

NEAREST = 6  # training images beside an explained one
MOST_ITEMS = 20_000  # images or boxes that are compared with; of more, some that are spread evenly
MOST_REFERENCE = 2_000  # of them, whose own neighbours say what is usual
AT_ONCE = 64  # rows of distances in memory


@dataclass(frozen=True, slots=True)
class Item:
    """A training image, or one of its boxes."""

    record: Record
    labels: tuple[int, ...]  # of the image, or of the box alone
    box_xyxy: tuple[float, float, float, float] | None = None  # original px


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training image near to an explained one."""

    item: Item
    distance: float  # 1 - cosine of the two vectors: 0 for the same place, 1 for nothing in common
    percentile: float  # 0..100: of training images, the share whose neighbour of that rank is at most as far away


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """Training images with their vectors: what an image is compared with.

    items: N of them, those of one image in a row. vectors (N, D) float32 of length 1. usual (R, K) float32: of R items
    the distances to the K nearest other images, in ascending order. total: how many there were before some were chosen.
    """

    items: Sequence[Item]
    vectors: np.ndarray
    usual: np.ndarray
    total: int

    @property
    def unit(self) -> str:
        """What is compared: "image" or "box"."""
        return "image" if not self.items or self.items[0].box_xyxy is None else "box"

    def nearest(self, vector: np.ndarray, count: int = NEAREST) -> list[Neighbour]:
        """The `count` images nearest to a vector (D,) of length 1, with the nearest box of each."""
        distances = _distances(vector[None], self.vectors)[0]
        found: list[Neighbour] = []
        images: set[str] = set()
        for index in np.argsort(distances, kind="stable"):
            if len(found) == count:
                break
            item, distance = self.items[index], float(distances[index])
            if item.record.image_id not in images:
                images.add(item.record.image_id)
                found.append(Neighbour(item, distance, self._percentile(distance, len(found))))
        return found

    def _percentile(self, distance: float, rank: int) -> float:
        if not self.usual.size:
            return 0.0
        column = self.usual[:, min(rank, self.usual.shape[1] - 1)]
        return 100.0 * float((column <= distance).mean())


def chosen_items(records: Sequence[Record], boxes: bool, most: int = MOST_ITEMS) -> tuple[list[Item], int]:
    """The images, or their boxes, in the order of the records, and how many there are; of more than `most` as many that
    are spread evenly."""
    items: list[Item] = []
    for record in records:
        if boxes:
            corners, labels = record.boxes_xyxy.tolist(), record.box_labels.tolist()
            items += [Item(record, (label,), tuple(box)) for box, label in zip(corners, labels, strict=True)]
        else:
            items.append(Item(record, tuple(record.labels.tolist())))
    return [items[index] for index in spread(len(items), most)], len(items)


def spread(count: int, most: int) -> list[int]:
    """At most `most` of the numbers 0..count-1, evenly spread."""
    return list(range(count)) if count <= most else [index * count // most for index in range(most)]


def usual_distances(vectors: np.ndarray, items: Sequence[Item], count: int = NEAREST) -> np.ndarray:
    """(N, D) -> (R, K) float32: of items that are spread evenly, the distances to the `count` nearest other images.

    Boxes of the same image do not count: they share its light and its surface, which those of a new image do not.
    """
    identities = [item.record.image_id for item in items]
    starts = [index for index, name in enumerate(identities) if index == 0 or name != identities[index - 1]]
    owners = np.cumsum(np.isin(np.arange(len(items)), starts)) - 1
    images = len(starts)
    if images < 2:
        return np.zeros((0, 0), np.float32)
    rows = []
    reference = np.array(spread(len(items), MOST_REFERENCE))
    for indices in np.array_split(reference, -(-len(reference) // AT_ONCE)):
        by_image = np.minimum.reduceat(_distances(vectors[indices], vectors), starts, axis=1)
        by_image[np.arange(len(indices)), owners[indices]] = np.inf
        rows.append(np.sort(by_image, axis=1)[:, : min(count, images - 1)])
    return np.concatenate(rows).astype(np.float32)


def same_file(first: Path | None, second: Path) -> bool:
    """Whether two paths are one file, links followed."""
    return first is not None and os.path.realpath(first) == os.path.realpath(second)


def _distances(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(Q, D), (N, D) -> (Q, N): 1 - cosine, from 0; below the rounding of float32 it is 0."""
    distances: np.ndarray = 1.0 - queries @ vectors.T
    return np.where(distances < 1e-6, 0.0, distances)
