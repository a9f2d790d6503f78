"""Finding the files of a dataset whose lists and labels are not trusted."""

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut, is_hidden
from lightdet.core.regular import no_file
from lightdet.data.image import IMAGE_SUFFIXES, Header, read_header

LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes; what the file systems in use take
NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udc7f\udd00-\udfff]")  # controls, and no bytes at all
OTHER_MACHINE = re.compile(r"[A-Za-z]:/|//")  # a drive of Windows, a server
BLANK = " \t\f\v"  # not U+3000 and its like, which may end a name


class DataRoot:
    """The folder of a dataset; no file that a list or label names may lie outside it.

    `..` and absolute names are allowed as long as they end inside. So are symbolic links; one that leads outside is
    refused unless `follow_links` marks the dataset as trusted (the root itself may always be a link). Names are equal
    when their letters are, however they are composed (Unicode's NFC and NFD, in which a Mac writes them), and where
    their suffixes differ in case alone, as some programs of Windows write them.

    `left_out` counts what the reader does not use: it starts anew with each `read`, and its lines are among the
    reader's `doubts`.
    """

    def __init__(self, root: str | Path, follow_links: bool = False) -> None:
        self.path = Path(root).expanduser().resolve()
        self.left_out = LeftOut()
        self._follow_links = follow_links
        self._stems: dict[Path, dict[str, list[Path]]] = {}
        self._names: dict[Path, dict[str, str]] = {}
        if not self.path.is_dir():
            raise LightdetError(f"{root}: no such dataset folder; set data.reader.root to where the dataset is")

    def locate(self, name: str, base: Path, said_by: Path | str) -> Path:
        """The absolute path of `name`, which a list or a label has, relative to the folder `base`; it need not exist.

        Raises LightdetError, which names `said_by`, when it would lie outside the root.
        """
        if not isinstance(name, str):
            raise LightdetError(f"{said_by}: {name!r} is no name of a file or folder; a number is written ./5 there")
        if NO_NAME.search(name):
            raise LightdetError(f"{said_by}: {name[:80]!r} is not a file name; is this a text file in UTF-8?")
        name = name.replace("\\", "/")
        if OTHER_MACHINE.match(name):
            raise LightdetError(
                f"{said_by}: {name[:80]!r} is the name of a file on another machine; write it relative to {base}"
            )
        path = Path(os.path.normpath(base / name))
        if len(os.fsencode(path)) > LONGEST_PATH or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
            raise LightdetError(f"{said_by}: {name[:40]!r}... is too long for a file name; correct it")
        return self.inside(path, said_by, name)

    def inside(self, path: Path, said_by: Path | str, name: str = "") -> Path:
        """The same absolute path. Raises LightdetError, which names `said_by` and `name`, when it leads outside."""
        name = name or str(path)
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

    def find(self, name: str, base: Path, said_by: Path | str) -> Path:
        """Like `locate`, of what is there under this name or under one with the same letters; it need not exist."""
        return self.inside(self.spelled(self.locate(name, base, said_by)), said_by)

    def file(self, name: str, base: Path, said_by: Path | str) -> Path:
        """Like `find`, of a file that must exist."""
        path = self.find(name, base, said_by)
        try:
            what = no_file(path)
        except OSError as error:
            text = f"no such file, but {said_by} names it; restore it or remove it from there"
            raise LightdetError(f"{path}: {text}") from error
        if what:
            raise LightdetError(f"{path}: {what} where {said_by} names a file; correct one of them")
        return path

    def image(self, name: str, base: Path, said_by: Path | str, prefer: str = "") -> Path:
        """The image `name`, given without its suffix, whatever its suffix is; `prefer` decides between several."""
        wanted = self.find(name, base, said_by)
        found = self.images_named(wanted)
        if len(found) > 1:
            found = [path for path in found if path.suffix == prefer] or found
        if not found:
            raise LightdetError(
                f"{wanted}.*: no such image, but {said_by} names it; restore it or remove it from there"
            )
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise LightdetError(f"{wanted}: several images of this name ({names}); keep one of them")
        return self.inside(found[0], said_by)

    def header(self, image: Path) -> Header:
        """The header of an image that a record is made of; further pages in the file are counted in `left_out`."""
        header = read_header(image)
        if header.several:
            self.left_out.add("files with further pages or frames, which are not read", image)
        return header

    def images_named(self, stem: Path) -> list[Path]:
        """The images at a path without suffix, however its letters are composed, sorted."""
        folder = self.spelled(stem.parent)
        if folder not in self._stems:
            images: dict[str, list[Path]] = {}
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else ():
                path = folder / entry.name
                if path.suffix.lower() in IMAGE_SUFFIXES and entry.is_file():
                    images.setdefault(normalize("NFC", path.stem), []).append(path)
            self._stems[folder] = images
        return self._stems[folder].get(normalize("NFC", stem.name), [])

    def hidden(self, name: str, base: Path) -> bool:
        """Whether a name that a list gives is of something that no person made (`is_hidden`)."""
        path = Path(os.path.normpath(base / name.replace("\\", "/")))
        above = base if path.is_relative_to(base) else self.path
        return path.is_relative_to(above) and is_hidden(path.relative_to(above))

    def image_id(self, path: Path) -> str:
        """A path as records name it: relative to the root, "/" between folders; bytes that are no UTF-8 as \\xfc."""
        return (
            path.relative_to(self.path)
            .as_posix()
            .encode("utf-8", "surrogateescape")
            .decode("utf-8", "backslashreplace")
        )

    def spelled(self, path: Path) -> Path:
        """What is there in place of a path that is not: names of the same letters, composed in another way or with the
        suffix in another case."""
        if os.path.lexists(path) or not path.is_relative_to(self.path):
            return path
        found = self.path
        for part in path.relative_to(self.path).parts:
            if not os.path.lexists(found / part):
                if found not in self._names:
                    there = sorted(os.listdir(found)) if found.is_dir() else []
                    self._names[found] = {_letters(name): name for name in there}
                part = self._names[found].get(_letters(part), part)
            found = found / part
        return found


def _letters(name: str) -> str:
    path = Path(normalize("NFC", name))
    return path.stem + path.suffix.lower()


def read_bytes(path: Path) -> bytes:
    """The content of a label or list file. Raises LightdetError when it cannot be read."""
    try:
        if what := no_file(path):
            raise LightdetError(f"{path}: {what} where a file is expected; replace or remove it")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise LightdetError(
            f"{path}: no such file; restore it, or correct the data.reader setting that names it"
        ) from error
    except OSError as error:
        raise LightdetError(f"{path}: cannot be read ({error.strerror or type(error).__name__})") from error


def read_text(path: Path) -> str:
    """The text of a label or list file. Raises LightdetError when it is not UTF-8 text, or UTF-16 with its mark."""
    content = read_bytes(path)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise LightdetError(
            f"{path}: not text in UTF-8 (byte {error.start}); save it as UTF-8 or replace it"
        ) from error
    if "\0" in text:
        raise LightdetError(f"{path}: binary content where text is expected; replace the file")
    return text


def read_list(path: Path, is_there: Callable[[str], bool], left_out: LeftOut) -> list[str]:
    """The lines of a list without the blanks around them, and without empty lines and comments (#).

    A line that begins with # is a comment unless `is_there` says that something has this name; comments are counted in
    `left_out`. Raises LightdetError for a repeated line.
    """
    lines: list[str] = []
    for line in (line.strip(BLANK) for line in re.split(r"\r\n|\r|\n", read_text(path))):
        if line.startswith("#") and not is_there(line):
            left_out.add("list lines that begin with # and name no image", f"{path}: {line[:80]}")
        elif line:
            lines.append(line)
    repeated, times = Counter(lines).most_common(1)[0] if lines else ("", 0)
    if times > 1:
        raise LightdetError(f"{path}: {repeated[:80]!r} is listed {times} times; leave one of these lines")
    return lines
