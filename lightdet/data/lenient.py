"""Reading a dataset that has faults, for a mended copy: what cannot stay is cut or left out, and listed."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Change(NamedTuple):
    """One difference between a dataset and its mended copy."""

    what: str  # the kind: "box cut at the border"
    where: str  # an image, or a label file and the place in it
    detail: str = ""


_CHANGES: ContextVar[list[Change] | None] = ContextVar("changes", default=None)


@contextmanager
def leniently() -> Iterator[list[Change]]:
    """While it lasts, readers leave out what they would refuse the dataset for: boxes are cut at the border of their
    image or dropped, images that cannot be read are left out. Each is one Change in the list that it yields."""
    token = _CHANGES.set([])
    try:
        changes = _CHANGES.get()
        assert changes is not None
        yield changes
    finally:
        _CHANGES.reset(token)


def changes_wanted() -> list[Change] | None:
    """The list to which a change is added in place of an error; None where errors are wanted, which is the rule."""
    return _CHANGES.get()
