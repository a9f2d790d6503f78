"""The one exception a person is meant to read."""

import re

NOT_LOADED = re.compile(r"Error locating target '([^']+)'(?:.*full_key: (\S+))?", re.DOTALL)  # in Hydra's words


class LightdetError(Exception):
    """Bad input or a broken promise, in one line: what is wrong, where it is, and what to do about it.

    The command line prints the message alone, without a traceback, and exits with code 2; a notebook prints it alone.
    """

    def _render_traceback_(self) -> list[str]:
        """IPython's hook for what is shown in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


def demand_whole(name: str, value: object, least: int, most: int | None = None, or_else: str | None = None) -> None:
    """Raises LightdetError unless the setting `name` is a whole number from `least` to `most` (None: to any), or the
    word `or_else`."""
    if or_else is not None and value == or_else:
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        besides = f", or {or_else}" if or_else else ""
        raise LightdetError(f"{name}={value}: give a whole number, {bounds}{besides}")


def demand_share(name: str, value: float) -> None:
    """Raises LightdetError unless the setting `name` is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise LightdetError(f"{name}={value}: give a number from 0 to 1")


def underneath(error: BaseException | None) -> LightdetError | None:
    """The LightdetError that an exception is, or was raised from: Hydra wraps those of a constructor."""
    while error is not None and not isinstance(error, LightdetError):
        error = error.__cause__ or error.__context__
    return error


def one_line(error: BaseException) -> str:
    """Why it failed, as one line of at most 300 characters; what a person can mend is said without the wrapping."""
    told = underneath(error) or not_loaded(error)
    text = " ".join(str(told or error).split()) or "no message"
    return (text if told else f"{type(error).__name__}: {text}")[:300]


def not_loaded(error: BaseException) -> str | None:
    """Which code that a configuration names could not be imported, and why, which Hydra keeps to itself; None for any
    other error."""
    found = NOT_LOADED.match(str(error))
    if found is None:
        return None
    place = f"{found[2]}: " if found[2] else ""
    cause = first_cause(error)
    where = "; the working directory and PYTHONPATH are searched" if cause.startswith("ModuleNotFoundError") else ""
    return f"{place}{found[1]} cannot be loaded: {cause}{where}"


def first_cause(error: BaseException, most: int = 160) -> str:
    """What kind of error it is and its words, without line breaks, of the first one where errors were raised from
    others; at most `most` characters."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:most]


class Ended(LightdetError):  # noqa: N818  # a decision, not a mistake
    """A training ends before its time because its folder was asked to; the message is the reason."""
