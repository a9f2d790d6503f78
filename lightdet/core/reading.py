"""Reading a file that may be anything: a pipe that never ends, a device, or far too large. No torch here."""

import os
import stat
from pathlib import Path

from lightdet.core.errors import LightdetError

MEBIBYTE = 2**20
MOST_BYTES = 64 * MEBIBYTE  # of a file that is read as a whole


def read_regular(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file.

    Raises LightdetError for anything else, such as a FIFO, without waiting for it, and for more than `most` bytes; and
    OSError where there is no such file or it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LightdetError(f"{path}: no regular file; remove it")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise LightdetError(f"{path}: more than {most / MEBIBYTE:g} MiB, too large for what it should be; remove it")
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a regular file in UTF-8. Raises LightdetError and OSError as `read_regular` does."""
    try:
        return read_regular(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise LightdetError(
            f"{path}: not text in UTF-8 (byte {error.start}); save it as UTF-8, or remove it"
        ) from error
