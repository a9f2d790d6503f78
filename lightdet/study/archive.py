"""A study as one file, to hand to somebody who has not trained it. No torch here."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

# Folders of trackers and of a cluster, which are not results.
NEVER = frozenset({"wandb", "mlruns", "tensorboard", "submitit"})
PICTURES = (".png", ".jpg")


def export(study_path: Path, out: Path, checkpoints: bool) -> int:
    """Write rows, runs, tables and pictures, with best.ckpt if asked for, into a ZIP; returns its size in bytes.

    The file appears when it is whole. What is being trained is exported as far as it has come.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in _files(study_path, checkpoints):
                packed = zipfile.ZIP_STORED if path.suffix in PICTURES else zipfile.ZIP_DEFLATED
                archive.write(path, Path(study_path.name) / path.relative_to(study_path), packed)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return out.stat().st_size


def _files(study_path: Path, checkpoints: bool) -> Iterator[Path]:
    for path in sorted(study_path.rglob("*")):
        unfinished = path.is_symlink() or path.name.startswith(".") or path.suffix == ".tmp"
        unwanted = path.suffix == ".ckpt" and not (checkpoints and path.stem == "best")
        if path.is_file() and not (unfinished or unwanted or NEVER.intersection(path.relative_to(study_path).parts)):
            yield path
