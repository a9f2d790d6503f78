"""The words of a command line that choose a dataset. No torch here."""

import re
import shlex
from collections.abc import Mapping, Sequence

PLAIN = re.compile(r"[A-Za-z0-9_./~-]+")  # a value that neither a shell nor Hydra takes for something else


def data_command(option: str, settings: Mapping[str, str | Sequence[str] | None]) -> str:
    """`data=OPTION data.reader.KEY=VALUE ...`, quoted for a shell and for Hydra."""
    words = [f"data={option}"]
    for key, value in settings.items():
        name = f"data.reader.{key}"
        words.append(shlex.quote(f"{name}={_value(value)}"))
    return " ".join(words)


def _value(value: str | Sequence[str] | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else _quoted(value)
    return f"[{','.join(map(_quoted, value))}]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
