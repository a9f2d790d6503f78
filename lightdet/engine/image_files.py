"""The image files that a person names for `lightdet predict` and `lightdet explain`, each with a name of its own."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.engine.picture_files import MADE_BY, check_free, picture_names
from lightdet.runtime.found import PICTURES, REPORTS, Found


@dataclass(frozen=True, slots=True)
class ImageFile:
    path: Path
    name: str  # unique, relative to the folder that all images have in common, "/" separated
    picture: str  # likewise, relative to the folder of pictures, and unique without regard to case


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image without a prediction, and why."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"skipped {self.file}: {self.reason}"


def find_images(
    sources: Sequence[str], out: Path, made_by: str = MADE_BY, reports: Sequence[str] = REPORTS
) -> tuple[list[ImageFile], Found]:
    """Images named by files, folders (searched recursively) and globs, each once, sorted; and what is not taken.

    Pictures that predictions drew are left out. Raises LightdetError for a source in which there is no image, and
    where writing pictures and `reports` under `out` would overwrite what the command `made_by` did not make.
    """
    found = Found()
    paths: dict[Path, Path] = {}
    drawn = Path(os.path.realpath(out / PICTURES))
    for source in sources:
        named = {Path(os.path.realpath(path)): path for path in found.search(source)}
        kept = {whole: path for whole, path in named.items() if not whole.is_relative_to(drawn)}
        if not kept:
            raise LightdetError(f"{source}: pictures with boxes go to {out / PICTURES}; give another folder with --out")
        paths |= kept
    common = Path(os.path.commonpath([path.parent for path in paths]))
    names = {whole: whole.relative_to(common).as_posix() for whole in sorted(paths)}
    pictures = picture_names(list(names.values()))
    check_free(out, pictures.values(), reports, made_by, reports)
    return [ImageFile(paths[whole], name, pictures[name]) for whole, name in names.items()], found
