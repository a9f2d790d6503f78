"""Searching folders for images; what is skipped is counted, so that nothing is missed silently."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from lightdet.core.left_out import LeftOut, is_hidden
from lightdet.core.regular import no_file
from lightdet.data.image import IMAGE_SUFFIXES

HIDDEN_NAMES = "list lines that name what no person made (names that begin with . or @, __MACOSX and the like)"
HIDDEN_IMAGES = "images that no person made (names that begin with . or @, __MACOSX and the like)"
# Suffixes of pictures and videos that are not read: named, where all others are counted together.
UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jxr", ".j2k", ".jpf", ".svg", ".eps", ".pdf", ".psd", ".ai", ".xcf"}
    | {".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".exr", ".hdr", ".dcm", ".npy", ".mat"}
    | {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".wmv", ".mpg", ".mpeg", ".zip", ".tar", ".gz", ".7z", ".rar"}
)


def find_images(folder: Path, left_out: LeftOut, beside: Collection[str] = ()) -> list[Path]:
    """The images in a folder and in those inside it, sorted; links are followed, each real folder is entered once.

    `beside`: lower-case suffixes of what the format keeps beside images, its labels, which nobody misses. All other
    files are counted in `left_out`, and so are hidden images and what only has the name of an image. A link that leads
    nowhere counts as an image, so that reading it says so.
    """
    images: list[Path] = []
    for path in _files_under(folder, left_out):
        suffix = path.suffix.lower()
        if suffix not in IMAGE_SUFFIXES:
            if suffix not in beside:
                left_out.add(not_read(suffix), path)
        elif what := _what(path):
            left_out.add(f"files with the name of an image ({what})", path)
        else:
            images.append(path)
    return sorted(images)


def not_read(suffix: str) -> str:
    """The reason why files of a suffix that is none of IMAGE_SUFFIXES are left out."""
    if suffix in UNREAD_SUFFIXES:
        return f"{suffix} files, a kind that is not read (convert images to PNG or JPEG)"
    return "files of other kinds among the images"


def _what(path: Path) -> str:
    try:
        return no_file(path)
    except OSError:
        return ""


def _files_under(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """Everything that is no folder, folder by folder; of what is hidden, images are counted and nothing is given."""
    entered: set[str] = set()
    start = os.path.realpath(folder)

    def closed(error: OSError) -> None:
        left_out.add(f"folders that cannot be entered ({error.strerror})", error.filename)

    for parent, folders, names in os.walk(folder, onerror=closed, followlinks=True):
        real = os.path.realpath(parent)
        if real in entered:  # a link leads here
            folders.clear()
            continue
        if real != start and Path(start).is_relative_to(real):  # what lies there may be another split
            left_out.add("links to a folder that holds the searched one", parent)
            folders.clear()
            continue
        entered.add(real)
        for name in sorted(name for name in folders if is_hidden(Path(name))):
            folders.remove(name)
            hidden = sorted(Path(inner) / each for inner, _, files in os.walk(Path(parent) / name) for each in files)
            left_out.extend(HIDDEN_IMAGES, (path for path in hidden if path.suffix.lower() in IMAGE_SUFFIXES))
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            if not is_hidden(Path(name)):
                yield path
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                left_out.add(HIDDEN_IMAGES, path)
