"""The image files that a path names, and what lies beside them and is not taken. No torch here."""

import glob
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.core.regular import no_file
from lightdet.data.image import IMAGE_SUFFIXES
from lightdet.data.search import HIDDEN_IMAGES, not_read
from lightdet.data.search import find_images as images_below

PICTURES = "pictures"  # folder of what `lightdet predict` draws, beside its reports
REPORTS = ("predictions.json", "predictions.jsonl")
EXPLANATIONS = "explanations.json"  # the report of `lightdet explain`, whose pictures lie in the same way
DRAWN = "pictures that an earlier prediction drew"
FOLDERS = "folders that a glob names, which are not searched"
NO_IMAGES = (HIDDEN_IMAGES, DRAWN, FOLDERS, not_read(".txt"))  # reasons by which no image is missed


@dataclass(slots=True)
class Found:
    """What one or several searches found; every file that is passed over is counted."""

    files: list[Path] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    _drawn: dict[Path, bool] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether nothing is left out that is, or may be, an image."""
        return set(self.left_out.reasons()) <= set(NO_IMAGES)

    def search(self, source: str) -> list[Path]:
        """The images that a file, a folder (searched with its folders) or a glob names, sorted; adds them to `files`.

        Raises LightdetError where there is none, and for a pipe, socket or device.
        """
        path = Path(source)
        if path.is_file():
            found = [path]
        elif path.is_dir():
            images = images_below(path, self.left_out)
            found = images if self._is_drawn(path) else self._undrawn(images)
        elif path.exists():
            raise LightdetError(f"{source}: {no_file(path)} is no image; give a file, a folder or a glob in quotes")
        else:
            matches = [each for each in map(Path, sorted(glob.glob(source, recursive=True))) if self._is_image(each)]
            found = matches if PICTURES in path.parts else self._undrawn(matches)
        if not found:
            besides = f" ({'; '.join(self.left_out.lines())})" if len(self.left_out) else ""
            raise LightdetError(
                f"{source}: no image there; give a file, a folder with images or a glob in quotes{besides}"
            )
        self.files += found
        return found

    def _is_image(self, path: Path) -> bool:
        if path.is_dir():
            self.left_out.add(FOLDERS, path)
        elif path.suffix.lower() not in IMAGE_SUFFIXES:
            self.left_out.add(not_read(path.suffix.lower()), path)
        elif path.exists() and (what := no_file(path)):
            self.left_out.add(f"files with the name of an image ({what})", path)
        else:
            return True
        return False

    def _undrawn(self, paths: Iterable[Path]) -> list[Path]:
        """Those that no prediction drew; who names a folder of drawn pictures means them, who names one above not."""
        kept = []
        for path in paths:
            if self._is_drawn(path.parent):
                self.left_out.add(DRAWN, path)
            else:
                kept.append(path)
        return kept

    def _is_drawn(self, folder: Path) -> bool:
        """Whether a prediction drew into this folder, or into one around it."""
        if folder not in self._drawn:
            reports = (*REPORTS, EXPLANATIONS)
            here = folder.name == PICTURES and any((folder.parent / name).is_file() for name in reports)
            self._drawn[folder] = here or (folder.parent != folder and self._is_drawn(folder.parent))
        return self._drawn[folder]
