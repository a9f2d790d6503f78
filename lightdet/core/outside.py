"""Ends of a training that are no fault of it: a full disk, a closed terminal, a signal. No torch here.

Such a training is "killed" and not "failed", so that the same command continues it.
"""

import errno
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

from lightdet.core.errors import LightdetError, one_line

GONE = "a disk or share does not answer"
WORDS = {  # by the names of errors; a system need not have all of them
    "ENOSPC": "the disk is full",
    "EDQUOT": "the disk quota is used up",
    "EFBIG": "a file reached the largest size that is allowed (ulimit -f)",
    "EROFS": "the disk can only be read",
    "EPIPE": "the reader of its output has ended",
    "EIO": "a disk or terminal does not answer",
    "ENOMEM": "too little memory",
    **dict.fromkeys(("ESTALE", "ENODEV", "ENOTCONN", "EREMOTEIO"), GONE),
}
BY_NUMBER = {getattr(errno, name): words for name, words in WORDS.items() if hasattr(errno, name)}
# What is left of such an error when a library has passed it on as text.
NUMBER_IN_TEXT = re.compile(r"\[Errno (\d+)\]|os error (\d+)")
BY_TEXT = {
    **{os.strerror(number): words for number, words in BY_NUMBER.items()},
    "PytorchStreamWriter failed": "a checkpoint could not be written, as on a full disk",
    "database or disk is full": "the disk is full",
    "disk I/O error": "a disk does not answer",
    "not enough memory: you tried to allocate": "too little memory",  # torch, on a CPU
    "is killed by signal: Killed": "the system killed a process that loads images, as for too little memory",
    "is killed by signal: Terminated": "a process that loads images was asked to end",
    "is killed by signal: Hangup": "its terminal was closed",
}
SIGNALS = {"SIGTERM": "it was asked to end (SIGTERM)", "SIGHUP": "its terminal was closed (SIGHUP)"}
INTERRUPTED = "interrupted"  # Ctrl-C


class EndedFromOutside(LightdetError):  # noqa: N818  # a fact, not a mistake
    """Another process of this training was ended by the system or by a person."""


class Signalled(KeyboardInterrupt):
    """SIGTERM or SIGHUP, which end a program in order, as Ctrl-C does."""

    last: int | None = None  # the number of the signal; libraries catch the exception and raise another one


def outside(error: BaseException) -> str | None:
    """In plain words and one line what the world did, if that is the cause of the error; None for any other error.

    An error of the chain of causes counts, and the text of one that a library or another process has passed on.
    """
    if not isinstance(error, Exception):
        return _interruption()
    for cause in _chain(error):
        if isinstance(cause, EndedFromOutside):
            return one_line(cause)
        if words := _words(cause):
            return f"{words} ({one_line(cause)})"
    return None


def end_on_signals() -> None:
    """Makes SIGTERM and SIGHUP interrupt this process, so that it ends in order; one that is ignored (nohup) stays so.

    To be called in the main thread.
    """
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def exit_code_of_interruption() -> int:
    """What a shell gives a program that ended by the signal which interrupted this one."""
    return 128 + (Signalled.last or signal.SIGINT)


def _interrupt(number: int, frame: Any) -> None:
    Signalled.last = number
    raise Signalled


def _interruption() -> str:
    name = signal.Signals(Signalled.last).name if Signalled.last else ""
    return f"{INTERRUPTED}: {SIGNALS[name]}" if name in SIGNALS else INTERRUPTED


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, each once."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _words(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return WORDS["ENOMEM"]
    if isinstance(error, FileNotFoundError) and not _has_working_directory():
        return "its working directory was deleted"
    if isinstance(error, OSError) and error.errno in BY_NUMBER:
        return BY_NUMBER[error.errno]
    text = str(error)
    for match in NUMBER_IN_TEXT.finditer(text):
        if words := BY_NUMBER.get(int(match[1] or match[2])):
            return words
    return next((words for part, words in BY_TEXT.items() if part in text), None)


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True
