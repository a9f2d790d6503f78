"""The cache folder, for files that can be created again."""

import os
import tempfile
from pathlib import Path

POSIX = hasattr(os, "getuid")


def cache_folder() -> Path:
    """`$LIGHTDET_CACHE`, or lightdet/ under `$XDG_CACHE_HOME` or `~/.cache`; where that cannot be made, as in a
    container whose user has no home, a folder of this user's among the temporary files."""
    own = os.environ.get("LIGHTDET_CACHE", "")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        usual = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "lightdet"
        if _can_be_made(usual):
            return usual
    except RuntimeError:  # no HOME, and no entry for this user
        pass
    return _of_this_user(Path(tempfile.gettempdir(), f"lightdet-{_user()}"))


def _can_be_made(folder: Path) -> bool:
    """Whether the folder exists, or the folders above it let it be made."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    return existing == folder or (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK))


def _of_this_user(folder: Path) -> Path:
    """Makes the folder if it is missing; a new one beside it where another user has taken its name."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or (POSIX and folder.stat().st_uid != _user()):
        return Path(tempfile.mkdtemp(prefix="lightdet-"))
    return folder


def _user() -> int:
    return os.getuid() if POSIX else 0
