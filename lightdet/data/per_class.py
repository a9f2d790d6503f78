"""How many images of each class a training sees: a small or imbalanced training set from a larger one."""

from collections.abc import Mapping, Sequence

import numpy as np

from lightdet.core.errors import LightdetError, demand_amount
from lightdet.data.image_labels import GOOD
from lightdet.data.record import Record
from lightdet.data.split import presence, ticket

PerClass = int | float | Mapping[str, int | float | None] | None


def cut_per_class(
    records: Sequence[Record], classes: Sequence[str], per_class: PerClass, seed: int = 0
) -> tuple[list[Record], tuple[str, ...]]:
    """The images that are kept, in their order, and lines that say what was left out.

    `per_class`: how many images of each class, or by its name, {inclusion: 21}, where classes that are not named keep
    all; a number between 0 and 1 is a share of the images that a class has, one at least. An image counts for the class
    that it has or, with boxes, for each class in it, so that a class may keep more than asked for: an image is kept
    where one of its classes needs it, the rarest class first. Images without objects are a class "good". Which images
    are drawn depends on the seed and the image ids alone, and of images with one class the larger draw holds the
    smaller. Raises LightdetError for a class that is not there and for no such number.
    """
    names = (
        *classes,
        GOOD,
    )  # where the dataset has a class of this name, images without objects have none of their own
    shown = presence(records, len(classes))
    there = shown.sum(axis=0)
    wanted = _wanted(names, there, per_class)
    kept = np.zeros(len(records), dtype=bool)
    order = sorted(range(len(records)), key=lambda index: ticket(records[index].image_id, seed))
    for column in np.argsort(there, kind="stable"):
        missing = min(wanted[column], there[column]) - shown[kept, column].sum()
        candidates = [index for index in order if shown[index, column] and not kept[index]]
        kept[candidates[: max(0, missing)]] = True
    left = shown[kept].sum(axis=0)
    counts = ", ".join(f"{name} {now}" for name, now, before in zip(names, left, there, strict=True) if before)
    told = [f"data.per_class keeps {kept.sum():,} of {len(records):,} training images: {counts}"]
    for name, now, before, aim in zip(names, left, there, wanted, strict=True):
        if aim > before:
            told.append(
                f"data.per_class: {name} has {before:,} training images of the {aim:,} asked for; all are taken"
            )
        elif now > aim:
            told.append(f"data.per_class: {name} keeps {now:,} images where {aim:,} were asked for, with other classes")
    return [record for record, keep in zip(records, kept, strict=True) if keep], tuple(told)


def _wanted(names: Sequence[str], there: np.ndarray, per_class: PerClass) -> list[int]:
    """How many images of each class are asked for."""
    given = per_class if isinstance(per_class, Mapping) else dict.fromkeys(names, per_class)
    named = {str(name): amount for name, amount in given.items()}  # a command line makes a number of 10
    unknown = next((name for name in named if name not in names), None)
    if unknown is not None:
        raise LightdetError(f"data.per_class.{unknown}: no such class; there are {', '.join(names[:-1])}")
    if isinstance(per_class, Mapping) and GOOD in names[:-1]:
        names = (*names[:-1], "")  # the name is that of a class: images without objects cannot be named
    wanted = []
    for name, count in zip(names, there.tolist(), strict=True):
        amount = named.get(name) if name else None
        if amount is not None:
            demand_amount("data.per_class", amount)
        if amount is None or (name == names[-1] and not count):
            wanted.append(count)
        else:
            wanted.append(max(1, round(amount * count)) if isinstance(amount, float) else amount)
    return wanted
