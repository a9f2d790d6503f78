"""Finding the files of a dataset whose lists and labels are not trusted."""

import os
from collections import Counter
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.data.image import IMAGE_SUFFIXES

LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes; what the file systems in use take


class DataRoot:
    """The folder of a dataset; no file that a list or label names may lie outside it.

    `..` and absolute names are allowed as long as they end inside. So are symbolic links; one that leads outside is
    refused unless `follow_links` marks the dataset as trusted (the root itself may always be a link).
    """

    def __init__(self, root: str | Path, follow_links: bool = False) -> None:
        self.path = Path(root).expanduser().resolve()
        self._follow_links = follow_links
        self._stems: dict[Path, dict[str, list[Path]]] = {}
        if not self.path.is_dir():
            raise LightdetError(f"{root}: no such dataset folder; set data.reader.root to where the dataset is")

    def locate(self, name: str, base: Path, said_by: Path | str) -> Path:
        """The absolute path of `name`, relative to the folder `base`; it need not exist.

        Raises LightdetError, which names `said_by`, when it would lie outside the root.
        """
        if not name.isprintable():
            raise LightdetError(f"{said_by}: {name[:80]!r} is not a file name; is this a text file in UTF-8?")
        path = Path(os.path.normpath(base / name.replace("\\", "/")))
        if len(os.fsencode(path)) > LONGEST_PATH or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
            raise LightdetError(f"{said_by}: {name[:40]!r}... is too long for a file name; correct it")
        if not path.is_relative_to(self.path):
            raise LightdetError(
                f"{said_by}: {name!r} leads outside the dataset folder {self.path}; use paths inside it"
            )
        if not self._follow_links and not Path(os.path.realpath(path)).is_relative_to(self.path):
            raise LightdetError(
                f"{said_by}: {name!r} is a link that leads outside the dataset folder {self.path}; "
                "copy the file, or set data.reader.follow_links=true if you trust this dataset"
            )
        return path

    def file(self, name: str, base: Path, said_by: Path | str) -> Path:
        """Like `locate`, of a file that must exist."""
        path = self.locate(name, base, said_by)
        if not path.is_file():
            raise LightdetError(f"{path}: no such file, but {said_by} names it; restore it or remove it from there")
        return path

    def image(self, name: str, base: Path, said_by: Path | str, prefer: str = "") -> Path:
        """The image `name`, given without its suffix, whatever its suffix is; `prefer` decides between several."""
        wanted = self.locate(name, base, said_by)
        found = self._images_of(wanted.parent).get(wanted.name, [])
        if len(found) > 1:
            found = [path for path in found if path.suffix == prefer] or found
        if not found:
            raise LightdetError(
                f"{wanted}.*: no such image, but {said_by} names it; restore it or remove it from there"
            )
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise LightdetError(f"{wanted}: several images of this name ({names}); keep one of them")
        return self.locate(found[0].name, found[0].parent, said_by)

    def stems(self, folder: Path) -> list[str]:
        """Names without suffix of the images in a folder, sorted."""
        return sorted(self._images_of(folder))

    def image_id(self, path: Path) -> str:
        """A path as records name it: relative to the root, "/" between folders."""
        return path.relative_to(self.path).as_posix()

    def _images_of(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._stems:
            images: dict[str, list[Path]] = {}
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    images.setdefault(path.stem, []).append(path)
            self._stems[folder] = images
        return self._stems[folder]


def read_bytes(path: Path) -> bytes:
    """The content of a label or list file. Raises LightdetError when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise LightdetError(
            f"{path}: no such file; restore it, or correct the data.reader setting that names it"
        ) from error
    except OSError as error:
        raise LightdetError(f"{path}: cannot be read ({error.strerror or type(error).__name__})") from error


def read_text(path: Path) -> str:
    """The text of a label or list file. Raises LightdetError when it is not UTF-8 text."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LightdetError(
            f"{path}: not text in UTF-8 (byte {error.start}); save it as UTF-8 or replace it"
        ) from error
    if "\0" in text:
        raise LightdetError(f"{path}: binary content where text is expected; replace the file")
    return text


def read_list(path: Path) -> list[str]:
    """The stripped lines of a list, without empty ones and comments (#). Raises LightdetError for a repeated one."""
    lines = [line for line in map(str.strip, read_text(path).splitlines()) if line and not line.startswith("#")]
    repeated, times = Counter(lines).most_common(1)[0] if lines else ("", 0)
    if times > 1:
        raise LightdetError(f"{path}: {repeated[:80]!r} is listed {times} times; leave one of these lines")
    return lines
