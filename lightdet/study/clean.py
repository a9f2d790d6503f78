"""Deletes files and runs of a study that no job needs. No torch here."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.runs.commands import study_lock
from lightdet.runs.folder import LAST, RunFolder
from lightdet.runs.jobs import read_jobs


def clean(study_path: Path, checkpoints: bool, delete: bool) -> int:
    """Lists what no job needs, with its size; `delete` deletes it. Returns exit code 0.

    Lists runs of an earlier definition of a job and half-written files of processes that died; with `checkpoints` also
    last.ckpt of finished runs, which only further training would read. Never lists a run that is being trained nor the
    results of a run that a job points to. Raises LightdetError while the file of a job cannot be read.
    """
    total = 0
    with study_lock(study_path):  # so that no sweep registers a run meanwhile
        for path, why in unneeded(study_path, checkpoints):
            size = _size(path)
            total += size
            print(f"{size / 2**20:9.1f} MiB  {path}  ({why})")
            if delete and path.is_dir():
                shutil.rmtree(path)
            elif delete:
                path.unlink(missing_ok=True)
    done = "deleted" if delete else "can be deleted with --yes"
    print(f"lightdet: {total / 2**20:.1f} MiB {done}" if total else "lightdet: nothing to delete")
    return 0


def unneeded(study_path: Path, checkpoints: bool) -> Iterator[tuple[Path, str]]:
    """Files and folders, each with the reason why no job needs it."""
    jobs = read_jobs(study_path)
    broken = next((job for job in jobs if not job.run and job.state == "unreadable"), None)
    if broken:
        raise LightdetError(f"{study_path}: which run belongs to job {broken.name} is not known ({broken.reason})")
    needed = {(study_path / job.run).resolve() for job in jobs if job.run}
    for status in sorted(study_path.glob("*/s*/status.json")):
        folder = RunFolder(status.parent)
        if folder.holder() is not None:
            continue
        if folder.path.resolve() not in needed:
            yield folder.path, "no job points to this run"
            continue
        for path in sorted(folder.path.rglob("*.tmp")):
            yield path, "half written by a process that died"
        if checkpoints and folder.is_done():
            for path in sorted(folder.checkpoints.glob(LAST)):
                yield path, "of a finished run"
    for path in sorted((study_path / "jobs").glob("*.tmp")):
        yield path, "half written by a process that died"


def _size(path: Path) -> int:
    return sum(part.stat().st_size for part in (path.rglob("*") if path.is_dir() else [path]) if part.is_file())
