"""The words of a command line that choose a dataset. No torch here."""

import re
import shlex
from collections.abc import Mapping, Sequence

from lightdet.config.list_word import list_word, quoted

PLAIN = re.compile(r"\.|[A-Za-z/][A-Za-z0-9_./-]*")  # neither a shell nor Hydra takes it for something else, besides
WORDS = ("null", "true", "false", "on", "off", "yes", "no", "inf", "nan")


def data_command(option: str, settings: Mapping[str, str | Sequence[str] | None]) -> str:
    """`data=OPTION data.reader.KEY=VALUE ...`, quoted for a shell and for Hydra."""
    words = [f"data={option}"]
    for key, value in settings.items():
        name = f"data.reader.{key}"
        if value is None or isinstance(value, str):
            words.append(shlex.quote(f"{name}={_text(value)}"))
        else:
            words.append(list_word(name, value))
    return " ".join(words)


def _text(value: str | None) -> str:
    if value is None:
        return "null"
    plain = PLAIN.fullmatch(value) and value.lower() not in WORDS
    return value if plain else quoted(value)
