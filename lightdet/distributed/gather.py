"""All-gather of plain Python objects."""

from collections.abc import Callable, Hashable, Sequence
from itertools import chain, zip_longest
from typing import Any, TypeVar

from torch import distributed

Value = TypeVar("Value")


def gather(value: Value) -> list[Value]:
    """The values of all ranks of the running group, by rank; [value] in a process that trains alone.

    All ranks must call it, in the same order as other collective operations.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, value)
    return parts


def gather_images(images: Sequence[Value], name: Callable[[Value], Hashable]) -> list[Value]:
    """What all ranks have of their images, each image once, in the order in which they were dealt to the ranks: the
    first to rank 0, the next to rank 1, and so on (`EpochBatchSampler`). So equal scores rank as they would in one
    process."""
    parts = gather(list(images))
    if len(parts) == 1:
        return parts[0]
    dealt = [image for image in chain.from_iterable(zip_longest(*parts)) if image is not None]
    return list({name(image): image for image in dealt}.values())
