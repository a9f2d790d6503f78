"""Standard output and error that never end the program: a reader or terminal that goes away costs the lines alone."""

import codecs
import errno
import io
import os
import select
import sys
from typing import Any

PLAIN = {"±": "+-", "…": "...", "→": "->", "←": "<-", "≥": ">=", "≤": "<=", "·": "-", "—": "-", "─": "-"}
ERRORS = "lightdet.plain"  # how a character is written that the output's encoding lacks
LOST = "lightdet: the reader of the output has ended; the training goes on without it, Ctrl-C ends it\n"


def guard_output(told: str = "") -> None:
    """Replaces sys.stdout and sys.stderr by streams on the same descriptors whose writing raises nothing.

    What cannot be written is dropped, and a character that the encoding lacks becomes a plain one. A descriptor that
    was closed (`>&-`) leads to nowhere, or the next file that is opened would receive what is printed. `told`: written
    to stderr once when the reader of stdout has ended.
    """
    codecs.register_error(ERRORS, _plain)
    for number in range(3):
        _open_if_closed(number)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115  # open as long as the program runs
    sys.stdout = sys.__stdout__ = _guarded(sys.stdout, 1, told)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _guarded(sys.stderr, 2)  # type: ignore[misc]


class Guarded(io.FileIO):
    """A descriptor to write to, which stays open when the object goes; an error of writing drops what was written."""

    def __init__(self, descriptor: int, told: str = "") -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.told = told

    def write(self, data: Any, /) -> int:
        """The number of bytes, written or dropped."""
        try:
            while (written := super().write(data)) is None:  # a terminal in non-blocking mode whose buffer is full
                select.select((), (self,), ())
            return written
        except OSError as error:
            if self.told and error.errno == errno.EPIPE:
                told, self.told = self.told, ""
                sys.stderr.write(told)
                sys.stderr.flush()
            return len(data)


def _guarded(stream: Any, descriptor: int, told: str = "") -> io.TextIOWrapper:
    if isinstance(stream, io.TextIOWrapper):
        stream.flush()
        encoding, lines, at_once = stream.encoding, stream.line_buffering, stream.write_through
    else:  # the interpreter found the descriptor closed
        encoding, lines, at_once = "utf-8", False, False
    binary = io.BufferedWriter(Guarded(descriptor, told))
    return io.TextIOWrapper(binary, encoding, ERRORS, line_buffering=lines or descriptor == 2, write_through=at_once)


def _open_if_closed(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != descriptor:
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        os.set_inheritable(descriptor, True)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter, "?") for letter in text), error.end
