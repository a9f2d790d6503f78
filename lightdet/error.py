"""The one exception a person is meant to read."""


class LightdetError(Exception):
    """Bad input or a broken promise, told in one line: what is wrong, where it is, and what to do about it.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """


class Ended(LightdetError):  # noqa: N818  # a decision, not a mistake
    """A training ends before its time because its folder was asked to; the message is the reason."""
