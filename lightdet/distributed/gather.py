"""What the processes of one training tell each other as plain objects."""

from typing import Any, TypeVar

from torch import distributed

Value = TypeVar("Value")


def gather(value: Value) -> list[Value]:
    """What every rank of the running group has given here, by rank; [value] in a process that stands alone.

    All ranks must call it, and in the same order as everything else that they do together.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, value)
    return parts
