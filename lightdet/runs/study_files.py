"""The jobs and runs that lie in the folder of a study, and nothing that a link or a name in a file adds. No torch here.

A study may have been copied, moved or received, so what its files name is checked where it really is.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.core.paths import is_inside, named_inside
from lightdet.runs.folder import RunFolder

JOBS = "jobs"


def job_files(study_path: Path) -> list[Path]:
    """The files of the jobs, sorted. Raises LightdetError where the folder of the jobs is a link out of the study."""
    folder = jobs_folder(study_path)
    return sorted(path for path in folder.glob("*.json"))


def jobs_folder(study_path: Path) -> Path:
    """Where the jobs lie. Raises LightdetError where that is a link out of the study."""
    folder = study_path / JOBS
    if not is_inside(folder, study_path):
        raise LightdetError(f"{folder}: a link that leads out of the study; replace it by the folder itself")
    return folder


def run_folders(study_path: Path) -> Iterator[RunFolder]:
    """The runs of a study in the order of their paths: folders of its own, not what links lead to."""
    root = Path(os.path.realpath(study_path))
    for status in sorted(study_path.glob("*/s*/status.json")):
        folder = status.parent
        if Path(os.path.realpath(folder)) == root / folder.relative_to(study_path):
            yield RunFolder(folder)


def links(study_path: Path) -> Iterator[Path]:
    """What looks like a run of the study and is a link, or lies behind one."""
    own = {folder.path for folder in run_folders(study_path)}
    yield from (path.parent for path in sorted(study_path.glob("*/s*/status.json")) if path.parent not in own)


def run_of_job(study_path: Path, named: object, job: str) -> RunFolder:
    """The run `<row>/s<seed>` that the file of a job names. Raises LightdetError for any other name, and for one that
    leads out of the study."""
    path = named_inside(study_path, named, f"jobs/{job}.json")
    parts = path.relative_to(study_path).parts
    if len(parts) != 2 or ".." in parts or not parts[1].startswith("s"):
        raise LightdetError(f"jobs/{job}.json: {str(named)[:80]} is no run of the study, <row>/s<seed>")
    return RunFolder(path)
