"""Where `lightdet predict` and `lightdet explain` write: a picture of its own for each image, and nothing over what the
command did not make."""

import io
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_bytes
from lightdet.core.paths import is_inside
from lightdet.runtime.found import PICTURES, REPORTS

MADE_BY = "lightdet predict"  # inside of every file that predict writes: what lacks it is not overwritten
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}  # of pictures; other images are drawn as PNG
LONGEST = 180  # bytes of a name; file systems take 255, and a half-written file has a longer one


def picture_names(images: Sequence[str]) -> dict[str, str]:
    """Image -> name of its picture, relative to `pictures`; no two are equal, also where a file system makes no
    difference between upper and lower case. `images`: their names, parts joined by "/".

    `x/a.jpg` and `x/a.png` keep their names, `x/a.bmp` becomes `x/a.bmp.png`; of several images that would have one
    name, the later ones get a number.
    """
    taken = {_folded(parent.as_posix()) for name in images for parent in PurePosixPath(name).parents}
    names: dict[str, str] = {}
    for image in sorted(images, key=lambda name: (PurePosixPath(name).suffix.lower() not in FORMATS, name)):
        names[image] = next(name for name in _candidates(image) if _folded(name) not in taken)
        taken.add(_folded(names[image]))
    return names


def _candidates(image: str) -> Iterator[str]:
    path = PurePosixPath(image)
    suffix = path.suffix if path.suffix.lower() in FORMATS else ".png"
    stem = path.stem if suffix == path.suffix else path.name
    if len(os.fsencode(stem)) > LONGEST:
        stem = f"{stem[: LONGEST // 6]}-{sha256(os.fsencode(image)).hexdigest()[:16]}"  # a letter has at most 4 bytes
    yield path.with_name(stem + suffix).as_posix()
    for number in range(2, 10**9):
        yield path.with_name(f"{stem}-{number}{suffix}").as_posix()


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def check_free(
    out: Path,
    pictures: Iterable[str],
    reports: Iterable[str],
    made_by: str = MADE_BY,
    signed: Sequence[str] = REPORTS,
) -> None:
    """Raises LightdetError where writing the pictures and reports would lead out of `out` or overwrite a file that the
    command `made_by` did not make; one of the reports `signed` says that it did."""
    root = out / PICTURES
    folders = {(root / name).parent for name in pictures}
    for folder in sorted({root, *folders}):
        if not is_inside(folder, root if folder != root else out):
            raise LightdetError(f"{folder}: a link that leads out of {out}; give another folder with --out")
        for each in (folder, *folder.parents):
            if each.exists() and not each.is_dir():
                raise LightdetError(f"{each}: a file where a folder is to be; give another folder with --out")
    mine = is_mine(out, made_by, signed)
    for path, own in [
        *((root / name, lambda path: is_drawn(path, made_by)) for name in pictures),
        *((out / name, lambda _: mine) for name in reports),
    ]:
        if os.path.lexists(path) and not (path.is_file() and not path.is_symlink() and own(path)):
            raise LightdetError(f"{path}: not made by `{made_by}`, and not overwritten; give another folder with --out")


def is_mine(out: Path, made_by: str = MADE_BY, signed: Sequence[str] = REPORTS) -> bool:
    """Whether the reports in a folder are those of an earlier call of the command."""
    for name in signed:
        path = out / name
        if path.is_file():
            with open(path, "rb") as file:
                start = file.read(400)
            if made_by.encode() in start or not start:  # one that ended before its first image leaves an empty file
                return True
    return False


def is_drawn(path: Path, made_by: str = MADE_BY) -> bool:
    """Whether a picture says of itself that the command drew it."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            said = picture.info.get("Software"), picture.info.get("comment")
    except (OSError, ValueError, SyntaxError):
        return False
    return made_by in said or made_by.encode() in said


def save_picture(drawn: Image.Image, path: Path, made_by: str = MADE_BY) -> None:
    """Writes the picture as a whole or not at all, with the note that the command made it."""
    kind = FORMATS[path.suffix.lower()]
    how: dict[str, Any] = {"quality": 95, "comment": made_by}
    if kind == "PNG":
        how = {"pnginfo": PngInfo()}
        how["pnginfo"].add_text("Software", made_by)
    content = io.BytesIO()
    drawn.save(content, kind, **how)
    write_bytes(path, content.getbuffer())
