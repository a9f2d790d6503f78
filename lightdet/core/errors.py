"""LightdetError, the exception whose message is shown to the user, and one-line texts of other errors."""

import re

NOT_LOADED = re.compile(r"Error locating target '([^']+)'(?:.*full_key: (\S+))?", re.DOTALL)  # in Hydra's words


class LightdetError(Exception):
    """Bad input or a violated contract, in one line: what is wrong, where, and what to do about it.

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


def demand_expression(name: str, value: object) -> re.Pattern[str]:
    """The regular expression that the setting `name` is. Raises LightdetError for one that is none."""
    try:
        return re.compile(value)  # type: ignore[call-overload]
    except (TypeError, re.error) as error:
        why = error if isinstance(error, re.error) else "give a text"
        raise LightdetError(f"{name}={value}: not a regular expression ({why}); correct it") from error


def demand_share(name: str, value: float) -> None:
    """Raises LightdetError unless the setting `name` is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise LightdetError(f"{name}={value}: give a number from 0 to 1")


def demand_amount(name: str, value: object) -> None:
    """Raises LightdetError unless the setting `name` is a whole number from 1, or a share between 0 and 1."""
    fits = value >= 1 if isinstance(value, int) else isinstance(value, float) and 0 < value < 1
    if isinstance(value, bool) or not fits:
        raise LightdetError(f"{name}={value}: give a whole number, 1 or more, or a share between 0 and 1")


def underneath(error: BaseException | None) -> LightdetError | None:
    """The LightdetError that an exception is or was raised from, else None; Hydra wraps those of a constructor."""
    while error is not None and not isinstance(error, LightdetError):
        error = error.__cause__ or error.__context__
    return error


def one_line(error: BaseException) -> str:
    """The cause as one line of at most 300 characters; a LightdetError is given without what wraps it."""
    known = underneath(error) or not_loaded(error)
    text = " ".join(str(known or error).split()) or "no message"
    return (text if known else f"{type(error).__name__}: {text}")[:300]


def not_loaded(error: BaseException) -> str | None:
    """Text for Hydra's "Error locating target": the name in the configuration and the cause, which Hydra hides.

    None for any other error.
    """
    match = NOT_LOADED.match(str(error))
    if match is None:
        return None
    place = f"{match[2]}: " if match[2] else ""
    cause = first_cause(error)
    where = "; the working directory and PYTHONPATH are searched" if cause.startswith("ModuleNotFoundError") else ""
    return f"{place}{match[1]} cannot be loaded: {cause}{where}"


def first_cause(error: BaseException, most: int = 160) -> str:
    """Type and message, without line breaks, of the first error in a chain of causes; at most `most` characters."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:most]


class Ended(LightdetError):  # noqa: N818  # a decision, not a mistake
    """A training stops early because an end was requested in its folder; the message is the reason."""
