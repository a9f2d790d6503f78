"""The words of a command line that choose a dataset. No torch here."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

PLAIN = re.compile(r"[A-Za-z0-9_./~-]+")  # a value that neither a shell nor Hydra takes for something else


def data_command(option: str, settings: Mapping[str, str | Sequence[str]]) -> str:
    """`data=OPTION data.reader.KEY=VALUE ...`, quoted for a shell and for Hydra."""
    words = [f"data={option}"]
    for key, value in settings.items():
        name = f"data.reader.{key}"
        words.append(shlex.quote(f"{name}={_value(value)}"))
    return " ".join(words)


def _value(value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else _quoted(value)
    return f"[{','.join(map(_quoted, value))}]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def option_settings(conf: Path, option: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `data.reader` is under these words: the values of the option's file, and the settings over them."""
    reader = OmegaConf.to_container(OmegaConf.load(conf / "data" / f"{option}.yaml"))
    assert isinstance(reader, dict)
    return {**reader["reader"], **settings}
