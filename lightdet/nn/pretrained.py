"""Pretrained weights are fetched for a training that begins, and not where other weights take their place."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_FOLLOW = ContextVar("other weights follow", default=False)


@contextmanager
def weights_follow() -> Iterator[None]:
    """Inside, networks are built as they are configured, but nothing is fetched.

    For a network that a checkpoint fills, or whose weights do not matter. What else a pretrained network does, such as
    the normalisation of its images, stays.
    """
    token = _FOLLOW.set(True)
    try:
        yield
    finally:
        _FOLLOW.reset(token)


def fetches() -> bool:
    """Whether a network that is built now has to get its pretrained weights itself."""
    return not _FOLLOW.get()
