"""What files of torch's own runtimes have in common. Torch is imported when one is opened."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.runtime.contract import METADATA
from lightdet.runtime.engine.contract import runtime_module, unreadable
from lightdet.runtime.engine.ends import PIXELS, by_position

RUNTIME, INSTALL = "torch", "install torch and torchvision"
NAME = f"{METADATA}.json"  # of the contract in the file


class TorchFile(ABC):
    """See `Engine`. threads: that compute, in the whole process; None: torch's choice."""

    runtime = RUNTIME
    reentrant = False
    inputs: Mapping[str, tuple[str, int]] = PIXELS

    def __init__(self, path: Path, threads: int | None) -> None:
        self.check(path)
        self._torch = torch_with(path, threads)
        self.threads: int | None = self._torch.get_num_threads()
        told: dict[str, Any] = {NAME: ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # newer versions of torch advise torch.export
                self._module = self.opened(self._torch, path, told)
        except Exception as error:  # its own kinds of error, without a common base
            raise unreadable(path, RUNTIME, error) from error
        self.metadata: str | None = as_text(told[NAME])
        self.outputs: Mapping[str, tuple[int | None, ...]] = by_position(self.metadata, path)

    @abstractmethod
    def check(self, path: Path) -> None:
        """Raises LightdetError for a file that holds more than weights and operations on tensors."""

    @abstractmethod
    def opened(self, torch: Any, path: Path, told: dict[str, Any]) -> Any:
        """The module in the file; puts the extra files that `told` names into it."""

    def run(self, outputs: Sequence[str], given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with self._torch.inference_mode():
            found = self._module(self._torch.from_numpy(given["images"]))
        named = dict(zip(self.outputs, found, strict=True))
        return [named[name].numpy() for name in outputs]


def torch_with(path: Path, threads: int | None) -> Any:
    """torch, and torchvision, whose operations a detector may use. Raises LightdetError where one is not installed."""
    torch = runtime_module(path, "torch", RUNTIME, INSTALL)
    runtime_module(path, "torchvision", RUNTIME, INSTALL)
    if threads is not None:
        torch.set_num_threads(threads)
    return torch


def as_text(content: str | bytes) -> str | None:
    text = content.decode() if isinstance(content, bytes) else content
    return text or None
