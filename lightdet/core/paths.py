"""Where a path really is: names that a file gives, and links that lead out of a folder. No torch here."""

import os
from collections.abc import Collection
from pathlib import Path

from lightdet.core.errors import LightdetError


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path, all links followed, lies in a folder or is that folder; it need not exist."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def named_inside(root: Path, name: object, said_by: Path | str) -> Path:
    """The path below `root` that the file `said_by` names; it need not exist.

    Raises LightdetError for what is no relative name, and for one that leads out of `root`, by `..` or by a link.
    """
    if not isinstance(name, str) or not name or not name.isprintable():
        raise LightdetError(f"{said_by}: {str(name)[:80]!r} is no path; remove it, or request it again")
    if os.path.isabs(name) or not is_inside(root / name, root):
        raise LightdetError(f"{said_by}: {name[:80]} lies outside of {root}; nothing is read or written there")
    return root / name


def refuse_links_out(folder: Path, besides: Collection[str] = ()) -> None:
    """Raises LightdetError where a link in a folder, at any depth, leads out of it: who writes there would write
    elsewhere. What lies in folders named in `besides` does not count."""
    for top, folders, files in os.walk(folder):  # enters no link
        for name in (*folders, *files):
            path = Path(top, name)
            if path.is_symlink() and not is_inside(path, folder):
                raise LightdetError(f"{path}: a link that leads out of {folder}; replace it by what it points to")
        folders[:] = [name for name in folders if name not in besides]
