"""The one exception a person is meant to read."""


class LightdetError(Exception):
    """Bad input or a broken promise, told in one line: what is wrong, where it is, and what to do about it.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """


def in_one_line(error: BaseException, most: int = 160) -> str:
    """What kind of error it is and its words, without line breaks, of the first one where errors were raised from
    others; at most `most` characters."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:most]


class Ended(LightdetError):  # noqa: N818  # a decision, not a mistake
    """A training ends before its time because its folder was asked to; the message is the reason."""
