"""Divides a dataset without a split."""

import hashlib
from collections.abc import Sequence

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.data.record import Record


def split(
    records: Sequence[Record], val_share: float, seed: int, num_classes: int
) -> tuple[list[Record], list[Record]]:
    """Divide records into (train, val) so that every class, and the images without objects, keep their share.

    Whole images are drawn, the class with the fewest images first (the greedy idea of Sechidis et al. 2011, "On the
    stratification of multi-label data"). A class with two images or more has one at least on either side, unless they
    also show rarer classes and were assigned for those. The result depends on the seed and the image ids alone, not
    on the order of the records; both lists are sorted by image id.

    Raises LightdetError for a share that is no number between 0 and 1 or fewer than two images.
    """
    if not isinstance(val_share, int | float) or not 0 < val_share < 1:
        raise LightdetError(f"val_share={val_share}: give the share of the images to validate on, between 0 and 1")
    if len(records) < 2:
        raise LightdetError(f"{len(records)} labelled image(s) cannot be split into training and validation; add more")
    shuffled = sorted(records, key=lambda record: _ticket(record.image_id, seed))
    to_val = _choose(_presence(shuffled, num_classes), val_share)
    train = [record for record, chosen in zip(shuffled, to_val, strict=True) if not chosen]
    val = [record for record, chosen in zip(shuffled, to_val, strict=True) if chosen]
    return sorted(train, key=lambda record: record.image_id), sorted(val, key=lambda record: record.image_id)


def _ticket(image_id: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}:{image_id}".encode(), digest_size=16).digest()


def _presence(records: Sequence[Record], num_classes: int) -> np.ndarray:
    """(images, num_classes + 1) bool: which classes an image shows; the last column is "none"."""
    presence = np.zeros((len(records), num_classes + 1), dtype=bool)
    for row, record in zip(presence, records, strict=True):
        row[record.labels if len(record.labels) else num_classes] = True
    return presence


def _choose(presence: np.ndarray, val_share: float) -> np.ndarray:
    """(images,) bool: the images to validate on."""
    images = len(presence)
    totals = presence.sum(axis=0)
    wanted = np.where(totals > 1, np.clip(np.rint(totals * val_share), 1, np.maximum(totals - 1, 1)), 0)
    to_val = np.zeros(images, dtype=bool)
    undecided = np.ones(images, dtype=bool)
    for column in np.argsort(totals, kind="stable"):
        candidates = np.flatnonzero(presence[:, column] & undecided)
        missing = int(wanted[column] - (presence[:, column] & to_val).sum())
        to_val[candidates[: max(missing, 0)]] = True
        undecided[candidates] = False
    if not to_val.any():  # every class has a single image
        to_val[0] = True
    return to_val
