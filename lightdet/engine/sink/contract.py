"""Formats in which predictions are written beside predictions.jsonl: a module of this folder each, named by `--write`.

A module has `boxes`, whether it needs boxes; `files`, what it writes, relative to the folder of results; and
`write(out, entries, classes)`. It is given the entries of predictions.json one after the other, so that no format holds
them all.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import lightdet.engine.sink
from lightdet.core.errors import LightdetError
from lightdet.core.files import staged

Entry = dict[str, Any]


class Format(Protocol):
    """What a module of this folder is."""

    boxes: bool
    files: tuple[str, ...]
    write: Callable[[Path, Iterable[Entry], Sequence[str]], None]


def format_named(name: str) -> Format:
    """Raises LightdetError for one that is not there."""
    names = sorted(each.name for each in pkgutil.iter_modules(lightdet.engine.sink.__path__) if each.name != "contract")
    if name not in names:
        raise LightdetError(f"--write {name}: one or several of {', '.join(names)}, with commas between them")
    found: Any = importlib.import_module(f"lightdet.engine.sink.{name}")
    return found


@contextmanager
def written(path: Path) -> Iterator[TextIO]:
    """A text file that takes the place of `path` as a whole when the block ends without an error."""
    with staged(path.parent) as new, open(new / path.name, "w", encoding="utf-8", errors="backslashreplace") as file:
        yield file


def write_list(file: TextIO, items: Iterable[str], before: str = "", after: str = "") -> None:
    """A JSON list, an item a line."""
    file.write(f"{before}[")
    for number, item in enumerate(items):
        file.write(f"{',' if number else ''}\n {item}")
    file.write(f"\n]{after}\n")
