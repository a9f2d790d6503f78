"""torch.export on the CPU: files that end in .pt2. Torch is imported when one is opened."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lightdet.runtime.engine.archive import check_program
from lightdet.runtime.engine.contract import unreadable
from lightdet.runtime.engine.ends import PIXELS, by_position
from lightdet.runtime.engine.torchscript import NAME, RUNTIME, as_text, torch_with


class Program:
    """See `Engine`. threads: that compute, in the whole process; None: torch's choice."""

    runtime = RUNTIME
    reentrant = False
    inputs: Mapping[str, tuple[str, int]] = PIXELS

    def __init__(self, path: Path, threads: int | None) -> None:
        check_program(path)
        self._torch = torch_with(path, threads)
        told = {NAME: ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._module = self._torch.export.load(str(path), extra_files=told).module()
        except Exception as error:  # its own kinds of error, without a common base
            raise unreadable(path, RUNTIME, error) from error
        self.metadata: str | None = as_text(told[NAME])
        self.outputs: Mapping[str, tuple[int | None, ...]] = by_position(self.metadata, path)

    def run(self, outputs: Sequence[str], given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with self._torch.inference_mode():
            found = self._module(self._torch.from_numpy(given["images"]))
        named = dict(zip(self.outputs, found, strict=True))
        return [named[name].numpy() for name in outputs]


open_file = Program
