"""`study.json`: the commands given for a study. Each job and each run has separate files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.files import locked, now, read_json, write_json
from lightdet.core.shown import shown

FILE_NAME = "study.json"


@contextmanager
def study_lock(study_path: Path) -> Iterator[None]:
    """While the block runs, no other process registers commands, creates runs or deletes them; waits for the lock."""
    with locked(study_path / ".lock", wait=True):
        yield


def add_command(study_path: Path, words: list[str]) -> None:
    """Adds a sweep's overrides, once; earlier commands stay, and so does a file that cannot be read."""
    with study_lock(study_path):
        try:
            known = read_definition(study_path)
        except LightdetError as error:  # no run depends on it
            print(f"lightdet: {shown(error)}; this command is not noted in it", flush=True)
            return
        if not any(command.get("overrides") == words for command in known):
            commands = [*known, {"overrides": words, "first_given": now()}]
            write_json(study_path / FILE_NAME, {"commands": commands})


def read_definition(study_path: Path) -> list[dict[str, Any]]:
    """The commands, oldest first: {"overrides": [...], "first_given": ISO 8601}."""
    commands = read_json(study_path / FILE_NAME).get("commands")
    return [command for command in commands if isinstance(command, dict)] if isinstance(commands, list) else []
