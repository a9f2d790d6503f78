"""Divides a dataset without a split."""

import hashlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.data.record import Record


class Drawn(list[Record]):
    """One side of a split that lightdet drew. It remembers how, so that it can be drawn again in whole groups."""

    def __init__(self, records: Iterable[Record], val_share: float, seed: int) -> None:
        super().__init__(records)
        self.val_share = val_share
        self.seed = seed


def split(
    records: Sequence[Record],
    val_share: float,
    seed: int,
    num_classes: int,
    group_of: Callable[[Record], str] | None = None,
) -> tuple[Drawn, Drawn]:
    """Divide records into (train, val) so that every class, and the images without objects, keep their share.

    Whole images are drawn or, with `group_of`, all images of a group at once; the class with the fewest images comes
    first (the greedy idea of Sechidis et al. 2011, "On the stratification of multi-label data"). A class with two
    images (groups) or more has one at least on either side, unless they also show rarer classes and were assigned for
    those. Large groups make the shares rough: a group goes to val where that brings the share of a class closer. The
    result depends on the seed, the image ids and the names of the groups alone, not on the order of the records; both
    lists are sorted by image id.

    Raises LightdetError for a share that is no number between 0 and 1, fewer than two images, or a single group.
    """
    if not isinstance(val_share, int | float) or not 0 < val_share < 1:
        raise LightdetError(f"val_share={val_share}: give the share of the images to validate on, between 0 and 1")
    if len(records) < 2:
        raise LightdetError(f"{len(records)} labelled image(s) cannot be split into training and validation; add more")
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.image_id if group_of is None else group_of(record), []).append(record)
    if len(groups) < 2:
        raise LightdetError(
            f"data.group puts all {len(records)} images into one group, {next(iter(groups))!r}, which cannot be split "
            "into training and validation; let it tell more of the names apart"
        )
    shuffled = sorted(groups, key=lambda name: ticket(name, seed))
    counts = np.array([presence(groups[name], num_classes).sum(axis=0) for name in shuffled])
    sizes = np.array([len(groups[name]) for name in shuffled])
    to_val = _choose(counts, sizes, val_share)
    sides: tuple[list[Record], list[Record]] = [], []
    for name, chosen in zip(shuffled, to_val, strict=True):
        sides[int(chosen)].extend(groups[name])
    train, val = (Drawn(sorted(side, key=lambda record: record.image_id), val_share, seed) for side in sides)
    return train, val


def ticket(name: str, seed: int) -> bytes:
    """What a name is sorted by where names are drawn: the same for a seed, whichever names there are besides."""
    return hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=16).digest()


def presence(records: Sequence[Record], num_classes: int) -> np.ndarray:
    """(images, num_classes + 1) bool: which classes an image shows; the last column is "none"."""
    shown = np.zeros((len(records), num_classes + 1), dtype=bool)
    for row, record in zip(shown, records, strict=True):
        row[record.labels if len(record.labels) else num_classes] = True
    return shown


def _choose(counts: np.ndarray, sizes: np.ndarray, val_share: float) -> np.ndarray:
    """(groups,) bool: those to validate on. `counts`: (groups, classes) images that show a class; `sizes`: (groups,)
    images."""
    totals, spread = counts.sum(axis=0), (counts > 0).sum(axis=0)
    wanted = np.where(spread > 1, np.clip(np.rint(totals * val_share), 1, np.maximum(totals - 1, 1)), 0)
    to_val = np.zeros(len(counts), dtype=bool)
    undecided = np.ones(len(counts), dtype=bool)
    for column in np.argsort(totals, kind="stable"):
        images = counts[:, column]
        candidates = np.flatnonzero((images > 0) & undecided)
        if not ((images > 0) & ~undecided & ~to_val).any():
            candidates = candidates[:-1]  # one is kept to train on
        undecided[images > 0] = False
        missing = wanted[column] - images[to_val].sum()
        for group in candidates:
            if images[group] < 2 * missing:
                to_val[group] = True
                missing -= images[group]
        if spread[column] > 1 and len(candidates) and not images[to_val].any():  # each is too large
            to_val[candidates[images[candidates].argmin()]] = True
    if not to_val.any():  # every class is in a single group
        to_val[sizes.argmin()] = True
    return to_val
