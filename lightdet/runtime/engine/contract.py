"""What a runtime must do for an exported file: a file of this folder for each. No torch at the top of any of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lightdet.core.errors import LightdetError


class Engine(Protocol):
    """A file that a runtime has loaded.

    runtime: its name, for messages. threads: that compute an image; None: as many as the runtime chooses. metadata:
    the contract as the file carries it; None: it has none. inputs: by name, type of the numbers and number of axes.
    outputs: by name, lengths of the axes; None: open. The first output is what a user wants. reentrant: whether
    several threads may call `run` at once.
    """

    runtime: str
    threads: int | None
    reentrant: bool
    metadata: str | None
    inputs: Mapping[str, tuple[str, int]]
    outputs: Mapping[str, tuple[int | None, ...]]

    def run(self, outputs: Sequence[str], given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The named outputs. Errors are the runtime's own."""
        ...


def runtime_module(path: Path, name: str, runtime: str, install: str) -> Any:
    """The module of a runtime. Raises LightdetError, which begins with the file's path, where it is not installed."""
    try:
        return __import__(name)
    except ImportError as error:
        raise LightdetError(f"{path} runs with {runtime}, which is not installed; {install}") from error


def unreadable(path: Path, runtime: str, error: Exception) -> LightdetError:
    """What is said of a file that the runtime cannot load."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return LightdetError(f"{path}: {runtime} cannot read this file ({reason})")
