"""Writes a folder whole or not at all. No torch here."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lightdet.core.files import write_bytes


def write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files beside `out` and gives their folder its name when all of them are on the disk.

    A folder that is there already is replaced. A process that dies leaves the earlier folder or the new one, and a
    hidden one beside it; what fails otherwise leaves nothing. Raises OSError.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    new, old = (out.with_name(f".{out.name}.{os.getpid()}.{end}") for end in ("tmp", "old"))
    shutil.rmtree(new, ignore_errors=True)  # of a dead process that had this number
    try:
        for name, content in files.items():
            write_bytes(new / name, content)
        if out.exists():
            os.rename(out, old)
            try:
                os.rename(new, out)
            except BaseException:
                os.rename(old, out)
                raise
            shutil.rmtree(old)
        else:
            os.rename(new, out)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
