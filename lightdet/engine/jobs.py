"""The images of a call of `lightdet predict`, each with a name and, where it is known, the place of its picture."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from lightdet.core.errors import LightdetError
from lightdet.core.files import holder_of
from lightdet.data.writer.names import safe
from lightdet.engine.image_files import ImageFile, find_images
from lightdet.engine.picture_files import check_free
from lightdet.engine.summary import LINES
from lightdet.runtime.found import PICTURES, Found
from lightdet.runtime.kinds import opened
from lightdet.runtime.source import Files, Source
from lightdet.runtime.sources import Original
from lightdet.runtime.watched import Listed, Watched

LOCK = ".lock"  # of the folder in which a process predicts


class Job(NamedTuple):
    """One image to predict on."""

    original: Original
    name: str  # relative, "/" separated
    picture: str  # relative to the folder of pictures
    checked: bool  # whether it is known that a picture may be written there


@dataclass(slots=True)
class Jobs:
    """A source, with names for its images. known: those of image files that were found beforehand, by path. resumed:
    whether this call adds to the predictions.jsonl of an earlier one, which has `earlier` entries."""

    source: Source
    found: Found = field(default_factory=Found)
    known: Mapping[Path, ImageFile] = field(default_factory=dict)
    resumed: bool = False
    earlier: int = 0

    @property
    def pictures(self) -> bool:
        """Whether boxes are drawn unasked: on image files, and not on frames."""
        return bool(self.known) or isinstance(self.source, Watched | Listed)

    def each(self, bits: int | None) -> Iterator[Job]:
        """The images in order."""
        for number, original in enumerate(self.source.originals(bits), self.earlier + 1):
            file = None if original.path is None else self.known.get(original.path)
            if file is not None:
                yield Job(original, file.name, file.picture, True)
            else:
                name = self._name(original)
                yield Job(original, name, f"{number:06}-{Path(safe(Path(name).name)).stem}.jpg", False)
            del original

    def _name(self, original: Original) -> str:
        if original.frame is not None:
            return f"{Path(safe(Path(original.frame.source).name)).stem}-{original.frame.number:06}.jpg"
        assert original.path is not None
        folders = self.source.folders if isinstance(self.source, Watched) else []
        inside = [original.path.relative_to(each) for each in folders if original.path.is_relative_to(each)]
        return inside[0].as_posix() if inside else original.path.name


def file_jobs(files: Sequence[ImageFile], found: Found | None = None) -> Jobs:
    """Of image files that were found; `found` has what was not taken."""
    return Jobs(Files([file.path for file in files]), found or Found(), {file.path: file for file in files})


def jobs_of(words: Sequence[str], out: Path | None, watch: bool = False, idle_seconds: float | None = None) -> Jobs:
    """Of the words of a person: image files, folders, globs, videos, a camera, an address, "-" for paths on standard
    input; with `watch` folders in which images appear.

    Raises LightdetError for a word that names nothing to predict on, before anything is computed, for a source behind
    one that does not end, and where results under `out` would overwrite what `lightdet predict` did not make.
    """
    if watch:
        return _watched(words, out, idle_seconds)
    jobs = Jobs(Files([]))

    def images(words: Sequence[str]) -> Source:
        nonlocal jobs
        jobs = file_jobs(*find_images(words, Path("predictions") if out is None else out))
        return jobs.source

    source = opened(words, idle_seconds, images)
    return replace(jobs, source=source)


def _watched(folders: Sequence[str], out: Path | None, idle_seconds: float | None) -> Jobs:
    """Of folders, without the images that an earlier call wrote into `out`."""
    if out is None:
        return Jobs(Watched(folders, idle_seconds))
    check_free(out, [], [LINES])
    if (holder := holder_of(out / LOCK)) is not None:
        raise in_use(out, holder)
    seen, earlier = _earlier(out / LINES)
    return Jobs(Watched(folders, idle_seconds, seen, out / PICTURES), resumed=True, earlier=earlier)


def in_use(out: Path, holder: int) -> LightdetError:
    """What is said of a folder in which another process predicts; holder: its number, 0: unknown."""
    who = f"another predict (process {holder})" if holder else "another predict"
    return LightdetError(f"{out}: {who} writes there; wait for its end, or give another folder, --out")


def _earlier(lines: Path) -> tuple[set[str], int]:
    """The files of predictions.jsonl, and how many of them have a prediction. A half line at its end is cut off: its
    image is predicted again."""
    seen, entries, whole = set(), 0, 0
    try:
        with open(lines, "rb") as file:
            for text in file:
                if not text.endswith(b"\n"):
                    break
                line = json.loads(text)
                seen.add(str(line["file"]))
                entries += "id" in line
                whole += len(text)
        with open(lines, "rb+") as file:
            file.truncate(whole)
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        raise LightdetError(f"{lines}: damaged ({error}); move it away, or give another folder with --out") from None
    return seen, entries
