"""A cheap look at a folder: names, and the first and last bytes of a few files."""

import re
from functools import cached_property
from pathlib import Path

from lightdet.core.left_out import is_hidden
from lightdet.data.image import IMAGE_SUFFIXES

PIECE = 1 << 16  # bytes at the beginning and at the end of a file
MOST_NAMES = 200_000  # of a folder; the rest is not looked at


class FolderView:
    """The visible names in one folder; only regular files are opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._texts: dict[str, str] = {}

    @cached_property
    def _entries(self) -> list[Path]:
        found: list[Path] = []
        for entry in self.path.iterdir():
            if len(found) == MOST_NAMES:
                break
            if not is_hidden(Path(entry.name)):
                found.append(entry)
        return sorted(found)

    @cached_property
    def folders(self) -> dict[str, "FolderView"]:
        """Those inside, by name."""
        return {path.name: FolderView(path) for path in self._entries if path.is_dir()}

    def files(self, *suffixes: str) -> list[str]:
        """Names of the regular files with one of the suffixes, in lower case."""
        return [path.name for path in self._entries if path.suffix.lower() in suffixes and path.is_file()]

    @cached_property
    def images(self) -> frozenset[str]:
        """Stems of the images."""
        return frozenset(Path(name).stem for name in self.files(*IMAGE_SUFFIXES))

    def has(self, name: str) -> bool:
        """Whether there is a regular file of this name, which may lead through folders."""
        return (self.path / name).is_file()

    def text(self, name: str) -> str:
        """The first and the last bytes of a file; "" for one that cannot be read."""
        if name not in self._texts:
            try:
                with (self.path / name).open("rb") as file:
                    start = file.read(PIECE)
                    length = file.seek(0, 2)
                    file.seek(max(length - PIECE, len(start)))
                    content = start + file.read(PIECE)
            except OSError:
                content = b""
            self._texts[name] = content.decode("utf-8-sig", "replace")
        return self._texts[name]

    def contains(self, name: str, *keys: str) -> bool:
        """Whether the text of a JSON file has all these keys."""
        return all(re.search(rf'"{key}"\s*:', self.text(name)) for key in keys)
