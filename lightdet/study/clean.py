"""Deletes files and runs of a study that no job needs. No torch here."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.core.paths import is_inside
from lightdet.core.shown import shown
from lightdet.runs.commands import study_lock
from lightdet.runs.folder import LAST, TRACKERS, RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.runs.study_files import jobs_folder, links, run_folders


def clean(study_path: Path, checkpoints: bool, delete: bool) -> int:
    """Lists what no job needs, with its size; `delete` deletes it. Returns exit code 0.

    Lists runs of an earlier definition of a job and half-written files of processes that died; with `checkpoints` also
    last.ckpt of finished runs, which only further training would read. Never lists a run that is being trained, the
    results of a run that a job points to, a copy of such a run, nor what a link leads to. Raises LightdetError while
    the file of a job cannot be read.
    """
    total = 0
    with study_lock(study_path):  # so that no sweep registers a run meanwhile
        for path, why in unneeded(study_path, checkpoints):
            size = _size(path)
            total += size
            print(f"{size / 2**20:9.1f} MiB  {shown(path)}  ({why})")
            if delete:
                _delete(path, study_path)
        for path, why in left_alone(study_path):
            print(f"lightdet: {shown(path)} is left alone: {why}")
    done = "deleted" if delete else "can be deleted with --yes"
    print(f"lightdet: {total / 2**20:.1f} MiB {done}" if total else "lightdet: nothing to delete")
    return 0


def _delete(path: Path, study_path: Path) -> None:
    """Deletes a file or folder of the study, and no more of a link than the link."""
    if not is_inside(path.parent, study_path):
        raise LightdetError(f"{path}: a link leads there out of the study; delete it by hand")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)  # follows no link
    else:
        path.unlink(missing_ok=True)


def unneeded(study_path: Path, checkpoints: bool) -> Iterator[tuple[Path, str]]:
    """Files and folders, each with the reason why no job needs it."""
    needed = _needed(study_path)
    copied = {_identity(folder) for folder in needed.values()}
    for folder in run_folders(study_path):
        if folder.holder() is not None:
            continue
        if folder.path not in needed:
            if _identity(folder) not in copied:
                yield folder.path, "no job points to this run"
            continue
        for path in _half_written(folder.path):
            yield path, "half written by a process that died"
        if checkpoints and folder.is_done():
            for path in sorted(folder.checkpoints.glob(LAST)):
                if is_inside(path, folder.path):
                    yield path, "of a finished run"
    for path in sorted(jobs_folder(study_path).glob("*.tmp")):
        yield path, "half written by a process that died"


def left_alone(study_path: Path) -> Iterator[tuple[Path, str]]:
    """What looks like a run that no job needs and is not deleted, each with the reason."""
    needed = _needed(study_path)
    copied = {_identity(folder): folder for folder in needed.values()}
    for folder in run_folders(study_path):
        if folder.path not in needed and _identity(folder) in copied:
            yield folder.path, f"a copy of {shown(copied[_identity(folder)].path)}; delete it by hand"
    for path in links(study_path):
        yield path, "a link"


def _needed(study_path: Path) -> dict[Path, RunFolder]:
    """The runs that jobs point to. Raises LightdetError while it is not known of every job."""
    jobs = read_jobs(study_path)
    broken = next((job for job in jobs if not job.run and job.state == "unreadable"), None)
    if broken:
        raise LightdetError(f"{study_path}: which run belongs to job {broken.name} is not known ({broken.reason})")
    return {study_path / job.run: RunFolder(study_path / job.run) for job in jobs if job.run}


def _identity(folder: RunFolder) -> str:
    """The fingerprint of a run's status; its path where there is none: equal to no other run's."""
    return folder.read_status().get("fingerprint") or str(folder.path)


def _half_written(folder: Path) -> list[Path]:
    """The *.tmp files of a run, none behind a link, and none of a tracker."""
    found = []
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in TRACKERS]
        found += [Path(top, name) for name in names if name.endswith(".tmp")]
    return sorted(found)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; a link counts as itself."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(Path(top, name).lstat().st_size for top, _, names in os.walk(path) for name in names)
