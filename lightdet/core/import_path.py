"""The import path of components that a configuration names by module."""

import os
import sys
from pathlib import Path


def share_import_path() -> None:
    """Append the working directory and the clone to `sys.path` and PYTHONPATH.

    Modules in the working directory can then be named in a configuration, here and in the processes that a launcher
    starts.
    """
    clone = str(Path(__file__).resolve().parents[2])
    for folder in (os.getcwd(), clone):
        if folder not in sys.path:
            sys.path.append(folder)
    inherited = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    missing = [folder for folder in (os.getcwd(), clone) if folder not in inherited]
    os.environ["PYTHONPATH"] = os.pathsep.join(inherited + missing)
