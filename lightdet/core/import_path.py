"""The import path of components that a configuration names by module."""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from lightdet.core.errors import LightdetError


def share_import_path() -> None:
    """Append the clone to `sys.path` and PYTHONPATH: the processes that a command starts find this package.

    A `random.py` or the like in the working directory hides nothing from them. Raises LightdetError where the working
    directory was deleted.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:
        raise LightdetError("the working directory was deleted; change to one that exists") from None
    if hidden_by(here, [folder for folder in sys.path if folder not in ("", here)]):
        os.environ["PYTHONSAFEPATH"] = "1"  # `python -c`, which multiprocessing starts, would search there first
    clone = str(Path(__file__).resolve().parents[2])
    if clone not in sys.path:
        sys.path.append(clone)
    inherited = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    if clone not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([*inherited, clone])


def hidden_by(folder: str, path: Sequence[str]) -> list[str]:
    """The modules of the standard library or of `path` that a module of the folder would hide if it were searched
    first, sorted."""
    own = {file.stem for file in Path(folder).glob("*.py")}
    own |= {file.parent.name for file in Path(folder).glob("*/__init__.py")}
    return sorted(name for name in own if name in sys.stdlib_module_names or PathFinder.find_spec(name, path))


def share_working_folder() -> None:
    """Append the working directory to `sys.path`: for a configuration that names trusted modules outside the package.

    Otherwise it is not there, so that a received folder brings in no module by lying in the working directory. Every
    process that reads such a configuration calls this itself; PYTHONPATH would put the folder before Python's own.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
