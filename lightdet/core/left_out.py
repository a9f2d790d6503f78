"""What a reader or a command leaves out, counted by reason, so that nothing is left out silently. No torch here."""

from collections.abc import Iterable
from pathlib import Path

# Names that programs and systems give, besides those that begin with one of HIDDEN.
MADE_BY_PROGRAMS = frozenset(  # in lower case
    {"__macosx", "network trash folder", "temporary items", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini"}
    | {"$recycle.bin", "recycler", "system volume information", "lost+found", "#recycle", "#snapshot", "~snapshot"}
)
HIDDEN = (".", "@")


def is_hidden(relative: Path) -> bool:
    """Whether a file lies in, or is, something that no person made: `.ipynb_checkpoints`, `@eaDir`, `__MACOSX`,
    `._a.jpg`. `relative` to the folder that is searched, whose own name does not count."""
    return any(part.startswith(HIDDEN) or part.lower() in MADE_BY_PROGRAMS for part in relative.parts)


class LeftOut:
    """Files, labels or regions that are not used: a count and a first example for each reason."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}  # by reason: count, first example

    def add(self, reason: str, example: Path | str, count: int = 1) -> None:
        """`reason` says what was left out and why, in the plural and without the number: "files that are no images"."""
        before, first = self._found.get(reason, (0, str(example)))
        self._found[reason] = (before + count, first)

    def extend(self, reason: str, examples: Iterable[Path | str]) -> None:
        """Adds each example under the same reason."""
        for example in examples:
            self.add(reason, example)

    def __len__(self) -> int:
        """How many things were left out."""
        return sum(count for count, _ in self._found.values())

    def reasons(self) -> tuple[str, ...]:
        """In the order in which they came up."""
        return tuple(self._found)

    def lines(self) -> tuple[str, ...]:
        """One line for each reason, in the order in which they came up."""
        return tuple(f"left out: {count} {reason}, e.g. {first}" for reason, (count, first) in self._found.items())
