"""Which folder answers a training, where several claim to: a run that a person copied has the fingerprint of the first.

No torch here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown
from lightdet.runs.folder import RunFolder
from lightdet.runs.study_files import run_folders, run_of_job

_told: set[Path] = set()  # copies that this process has named


def runs_by_fingerprint(study_path: Path, registered: Mapping[str, Mapping[str, Any]]) -> dict[str, RunFolder]:
    """The run of each training in a study. `registered`: the contents of the job files, by name.

    Of several folders with one fingerprint, the one that a job notes is the run, then a finished one, then the one at
    the place `<slug>/s<seed>` of its status. The others are copies: each is named once, and never trained in.
    """
    noted = _noted(study_path, registered)
    claims: dict[str, list[RunFolder]] = {}
    for folder in run_folders(study_path):
        identity = folder.read_status().get("fingerprint") or noted.get(folder.path)  # of a damaged status: as noted
        if identity:
            claims.setdefault(identity, []).append(folder)
    runs = {}
    for identity, folders in claims.items():
        folders.sort(
            key=lambda folder: (noted.get(folder.path) != identity, not folder.is_done(), not _at_home(folder))
        )
        runs[identity] = folders[0]
        for copy in folders[1:]:
            _tell(copy, folders[0])
    return runs


def _noted(study_path: Path, registered: Mapping[str, Mapping[str, Any]]) -> dict[Path, str]:
    """Run folders that jobs note, and the fingerprint that each is said to have."""
    noted = {}
    for name, facts in registered.items():
        identity = facts.get("fingerprint")
        if facts.get("run") and isinstance(identity, str):
            try:
                noted[run_of_job(study_path, facts["run"], name).path] = identity
            except LightdetError:
                continue  # named by `lightdet study`
    return noted


def _at_home(folder: RunFolder) -> bool:
    status = folder.read_status()
    return (status.get("slug"), f"s{status.get('seed')}") == (folder.path.parent.name, folder.path.name)


def _tell(copy: RunFolder, run: RunFolder) -> None:
    if (path := copy.path.absolute()) not in _told:
        _told.add(path)
        print(f"lightdet: {shown(copy.path)} is a copy of {shown(run.path)} and is not used", flush=True)
