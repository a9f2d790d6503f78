"""What lies at a path where only a file can be read: opening a named pipe would wait for ever. No torch here."""

import os
import stat
from pathlib import Path

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def no_file(path: Path) -> str:
    """What lies there in place of a file: "a named pipe"; "" for a regular file, and for a link to one.

    Raises OSError where there is nothing, or nothing that may be looked at.
    """
    mode = os.stat(path).st_mode
    return "" if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), "no file")
