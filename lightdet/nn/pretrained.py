"""Fetches pretrained weights for a training that begins, and not where other weights replace them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_FOLLOW = ContextVar("other weights follow", default=False)


@contextmanager
def weights_follow() -> Iterator[None]:
    """Inside the block, networks are built as configured, but no weights are fetched.

    For a network that is filled from a checkpoint, or whose weights do not matter. Everything else of a pretrained
    network, such as the normalisation of its images, stays.
    """
    token = _FOLLOW.set(True)
    try:
        yield
    finally:
        _FOLLOW.reset(token)


def fetches() -> bool:
    """Whether a network that is built now fetches its pretrained weights."""
    return not _FOLLOW.get()
