"""All-gather of plain Python objects."""

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
