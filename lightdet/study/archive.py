"""A study as one ZIP file. No torch here."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lightdet.runs.folder import TRACKERS
from lightdet.runs.package import is_package

PICTURES = (".png", ".jpg")


def export(study_path: Path, out: Path, checkpoints: bool) -> int:
    """Writes jobs, runs, tables and pictures into a ZIP, with `checkpoints` also best.ckpt and model packages; returns
    its size in bytes.

    The file appears once it is complete. Unfinished runs are exported in their present state.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            for path in _files(study_path, checkpoints):
                packed = zipfile.ZIP_STORED if path.suffix in PICTURES else zipfile.ZIP_DEFLATED
                archive.write(path, Path(study_path.name) / path.relative_to(study_path), packed)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return out.stat().st_size


def _files(study_path: Path, checkpoints: bool) -> Iterator[Path]:
    """The regular files; nothing that lies behind a link, wherever it leads."""
    for top, folders, names in os.walk(study_path):
        folders[:] = sorted(name for name in folders if name not in TRACKERS)
        if is_package(Path(top)) and not checkpoints:
            continue
        for path in (Path(top, name) for name in sorted(names)):
            unfinished = path.is_symlink() or path.name.startswith(".") or path.suffix == ".tmp"
            unwanted = path.suffix == ".ckpt" and not (checkpoints and path.stem == "best")
            if path.is_file() and not (unfinished or unwanted):
                yield path
