"""Which code may run that a configuration in a folder names: a folder is data until a person trusts its modules.

lightdet's own options need no word (`config/allowed.py`). What a person composes by a command is theirs, and the
processes of that command know it from an environment variable. Everything else needs `--trust-modules`, or a line in a
file of the person's. No torch here.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import packages_distributions
from pathlib import Path

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lightdet.config.allowed import Foreign, interpolations, names, stated, written
from lightdet.core.errors import LightdetError
from lightdet.core.import_path import share_working_folder

WORD = "--trust-modules"
HELP = "run the code of modules outside lightdet that the run names; for a folder that you know"
COMPOSED = "_LIGHTDET_COMPOSED"  # environment: JSON list of what the command of this process has composed itself


class Untrusted(LightdetError):  # noqa: N818  # a decision, not a mistake
    """A configuration names code, or reads from a place, that nobody has trusted."""


def check_trusted(
    config: DictConfig, said_by: Path | str, trust_modules: bool = False, sections: Sequence[str] | None = None
) -> None:
    """Raise Untrusted for a configuration that names code, or reads from a place, that nobody has trusted, and
    LightdetError for one that cannot be resolved.

    Called before anything of it is resolved or built. `said_by` names its file in the message; `sections` are those
    that are built, None: all. Modules of the working directory can be imported afterwards if it names trusted ones.
    """
    _refuse(interpolations(config), said_by, trust_modules)
    try:
        found = names(config, sections)
    except (OmegaConfBaseException, RecursionError) as error:
        reason = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())[:120]
        raise LightdetError(f"{said_by}: not a readable configuration ({reason})") from error
    _refuse(found, said_by, trust_modules)
    if any(one.code for one in found):
        share_working_folder()


def share_composed(config: DictConfig) -> None:
    """Makes modules of the working directory importable if a configuration that a person composed names any."""
    if any(one.code for one in written(config)):
        share_working_folder()


def needs_word(config: DictConfig) -> tuple[str, ...]:
    """What a composed configuration holds that a folder may hold with a person's word alone, for `composed_here`.

    Names of shipped options are among it: option files may change while the processes of a command begin.
    """
    found = interpolations(config)
    with suppress(OmegaConfBaseException):
        found += names(config)
    return tuple(dict.fromkeys([*(one.text for one in found), *stated(config)]))


@contextmanager
def composed_here(texts: Iterable[str]) -> Iterator[None]:
    """While the block runs, this process and those that it starts trust what `needs_word` found in this command."""
    before = os.environ.get(COMPOSED)
    os.environ[COMPOSED] = json.dumps(sorted({*_composed(), *texts}))
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(COMPOSED, None)
        else:
            os.environ[COMPOSED] = before


def user_file() -> Path | None:
    """The file in which a person keeps modules that they trust, one a line; None where there is no home folder."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    folder = given if os.path.isabs(given) else os.path.expanduser("~/.config")
    return Path(folder, "lightdet", "trusted_modules") if os.path.isabs(folder) else None


def _refuse(found: Sequence[Foreign], said_by: Path | str, trust_modules: bool) -> None:
    if trust_modules or not found:
        return
    allowed = [*_composed(), *_lines_of_user()]
    for one in found:
        if not any(_covers(line, one.text) for line in allowed):
            raise Untrusted(f"{said_by}: {one}; {_advice(one)}")


def _lines_of_user() -> list[str]:
    path = user_file()
    if path is None or not path.exists():
        return []
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise LightdetError(f"{path}: not readable ({error}); it holds a module that you trust in each line") from error
    return [line for line in lines if line]


def _composed() -> list[str]:
    return [str(text) for text in json.loads(os.environ.get(COMPOSED) or "[]")]


def _covers(line: str, text: str) -> bool:
    """Whether a line is this text, or a module around it."""
    return text == line or (text.startswith(line) and text[len(line)] in ".:/")


def _advice(one: Foreign) -> str:
    """The word, and the line of the file for a module that is neither of Python nor of an installed package."""
    word = f"{WORD} (in Python trust_modules=True) allows it, for a folder that you know"
    module, path = re.split("[.:]", one.text)[0], user_file()
    if not one.code or path is None or not module.isidentifier():
        return word
    known = {"lightdet", *sys.stdlib_module_names, *packages_distributions()}
    return word if module in known else f"{word}; the line {module} in {path} does so for good"
