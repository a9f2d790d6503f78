"""A checkpoint on disk: whole or not there, and with a checksum of its own content.

torch writes a ZIP archive. The checksum is the comment of that archive, so it is written with the file, moves with it,
and every program that reads such archives still reads this one.
"""

import hashlib
import io
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_bytes
from lightdet.core.regular import no_file

BEGIN = b"PK\x03\x04"  # of an archive
END = b"PK\x05\x06"  # begins the last record of an archive, whose last two bytes are the length of the comment
END_SIZE = 22  # bytes, without the comment
MARK = b"lightdet sha256 "
DIGITS = 64  # bytes: the checksum, hexadecimal
COMMENT = len(MARK) + DIGITS
BLOCK = 1 << 20  # bytes that are read at once
DAMAGED = "damaged: it was cut off or changed after it was written"


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Writes it atomically. Raises OSError where the disk is full; an earlier checkpoint stays."""
    archive = io.BytesIO()  # straight into a file, torch would report a full disk as an internal error
    torch.save(content, archive)
    archive.seek(-2, io.SEEK_END)
    archive.write(struct.pack("<H", COMMENT) + MARK)
    archive.write(hashlib.sha256(archive.getbuffer()).hexdigest().encode())
    write_bytes(path, archive.getbuffer())


def read_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """A checkpoint's content, unpickled with `weights_only`.

    Raises LightdetError for a file that is missing or broken, and where its content does not match its checksum; a file
    without one, of another program or an earlier version, is read as it is.
    """
    try:
        if what := no_file(path):
            raise LightdetError(f"{path}: {what}, and no checkpoint; remove it")
        intact = _is_intact(path)
    except FileNotFoundError:
        raise LightdetError(f"{path}: no such checkpoint; has this run trained for an epoch?") from None
    except OSError as error:
        raise LightdetError(f"{path}: not a readable checkpoint ({error})") from error
    if not intact:
        raise LightdetError(f"{path}: {DAMAGED}")
    try:
        _refuse_more_than_is_there(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # bytes that are no checkpoint end in almost any error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LightdetError(f"{path}: not a readable checkpoint ({reason[:120]})") from error
    if not isinstance(state, dict):
        raise LightdetError(f"{path}: holds no checkpoint")
    return state


def _refuse_more_than_is_there(path: Path) -> None:
    """Raises ValueError for an archive whose parts are larger than its file, compressed or one over another: torch
    stores them as they are, and a few KB could fill the memory."""
    with open(path, "rb") as file:
        if file.read(len(BEGIN)) != BEGIN:
            return
        with zipfile.ZipFile(file) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > file.seek(0, io.SEEK_END):
            raise ValueError(f"its parts would be {size:,} bytes, more than the file")


def _is_intact(path: Path) -> bool:
    """Whether the content matches the checksum; true for a file without one that ends as it should."""
    with open(path, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - END_SIZE - COMMENT))
        tail = file.read()
        place = tail.rfind(END)
        if place < 0:  # no archive of torch's; or one of ours whose end was changed
            return not tail[END_SIZE:].startswith(MARK)
        if len(tail) - place < END_SIZE:
            return False
        (length,) = struct.unpack_from("<H", tail, place + END_SIZE - 2)
        if length != len(tail) - place - END_SIZE:
            return False
        return length != COMMENT or _digest(file, size - DIGITS) == tail[-DIGITS:]


def _digest(file: BinaryIO, size: int) -> bytes:
    """The checksum of the first `size` bytes of a file."""
    file.seek(0)
    known = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, BLOCK))):
        known.update(block)
        size -= len(block)
    return known.hexdigest().encode()
