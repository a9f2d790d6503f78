"""The import path of components that a configuration names by module."""

import os
import sys
from pathlib import Path


def share_import_path() -> None:
    """Append the clone to `sys.path` and PYTHONPATH: the processes that a command starts find this package."""
    clone = str(Path(__file__).resolve().parents[2])
    if clone not in sys.path:
        sys.path.append(clone)
    inherited = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    if clone not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([*inherited, clone])


def share_working_folder() -> None:
    """Append the working directory to `sys.path`: for a configuration that names trusted modules outside the package.

    Otherwise it is not there, so that a received folder brings in no module by lying in the working directory. Every
    process that reads such a configuration calls this itself; PYTHONPATH would put the folder before Python's own.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
