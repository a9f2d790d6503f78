"""The cache folder, for files that can be created again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$LIGHTDET_CACHE`, or lightdet/ under `$XDG_CACHE_HOME` or `~/.cache`."""
    own = os.environ.get("LIGHTDET_CACHE", "")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "lightdet"
