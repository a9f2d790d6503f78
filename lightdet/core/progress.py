"""Progress bar on stderr, for terminals only."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def watched(items: Iterable[Item], total: int | None, what: str) -> Iterator[Item]:
    """Yields the items and shows a bar on a terminal's stderr, removed at the end; writes nothing to a pipe or file.
    `total` None: it is not known."""
    console = Console(stderr=True)
    yield from track(items, what, total, console=console, transient=True, disable=not console.is_terminal)
