"""The files of a run folder as bytes, to send them between machines without a shared disk. No torch here."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_bytes, write_json
from lightdet.runs.folder import RunFolder
from lightdet.runs.status import STATES
from lightdet.study.worker import STACKS

NOT_SENT = ("wandb", "mlruns", "tensorboard", "pictures")  # folders that no training continues from
REQUEST = ("request.yaml", "overrides.yaml")  # only the driver decides what a run trains
IDENTITY = ("fingerprint", "study", "slug", "seed", "choices", "overrides")  # facts of status.json, likewise
STATUS = "status.json"

Files = dict[str, bytes]  # by their names in the run folder, parts joined by "/"


def names(folder: RunFolder) -> list[str]:
    """The regular files of a run folder without links, locks and unfinished files. Other processes may write there."""
    found = []
    walk = os.walk(folder.path)  # passes over a folder that vanishes meanwhile, such as a tracker's
    for path in sorted(Path(top, name) for top, _, files in walk for name in files):
        skipped = path.name in (folder.lock_path.name, STACKS) or path.suffix == ".tmp"
        if path.is_file() and not path.is_symlink() and not skipped:
            found.append(path.relative_to(folder.path).as_posix())
    return found


def pack(folder: RunFolder, chosen: Iterable[str]) -> Files:
    """The files of these names that exist."""
    files: Files = {}
    for name in chosen:
        try:
            files[name] = (folder.path / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            continue
    return files


def files_for_node(folder: RunFolder) -> Files:
    """The files that a node needs to start or to continue a run."""
    return pack(folder, [name for name in names(folder) if PurePosixPath(name).parts[0] not in NOT_SENT])


def unpack(folder: RunFolder, files: Mapping[str, bytes]) -> None:
    """Writes files into a run folder, each atomically.

    Raises LightdetError, before anything is written, for a name that leads out of the folder.
    """
    paths = {name: _path(folder, name, data) for name, data in files.items()}
    for name, data in files.items():
        write_bytes(paths[name], data)


def unpack_on_driver(folder: RunFolder, files: Mapping[str, bytes]) -> None:
    """Writes the files that a node sent: last.ckpt after the files that it refers to, and the status at the very end.

    The node cannot change the identity of the run. Raises LightdetError for an invalid name or status.
    """
    requests = sorted(set(files) & set(REQUEST))
    if requests:
        raise LightdetError(f"a node sent {requests[0]} for {folder.path}, which no training writes")
    last = [name for name in files if str(name).endswith("/last.ckpt")]
    others = [name for name in files if name not in (*last, STATUS)]
    status = _status(folder, files[STATUS]) if STATUS in files else None
    unpack(folder, {name: files[name] for name in (*others, *last)})
    if status is not None:
        write_json(folder.status_path, status)


def _path(folder: RunFolder, name: object, data: object) -> Path:
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    valid = bool(parts) and not any(part in ("..", "/") or set(part) & set("\\:\0") for part in parts)
    if not valid or not isinstance(data, bytes) or parts[-1] == folder.lock_path.name:
        raise LightdetError(f"a node sent {str(name)[:80]!r} for {folder.path}, which is no file name of a run folder")
    path = folder.path.joinpath(*parts)
    if not path.parent.resolve().is_relative_to(folder.path.resolve()) or path.is_dir():
        raise LightdetError(f"a node sent {name!r} for {folder.path}, where a link or a folder has that name")
    return path


def _status(folder: RunFolder, data: bytes) -> dict[str, object]:
    try:
        sent = json.loads(data)
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict) or sent.get("state") not in STATES:
        raise LightdetError(f"a node sent an invalid status for {folder.path}")
    if "traceback" in sent:
        sent["traceback"] = str(folder.traceback_path)
    known = folder.read_status()
    return {**sent, **{key: known[key] for key in IDENTITY if key in known}}
