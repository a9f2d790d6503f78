"""ncnn on the CPU: files that end in .param, with weights in .bin and the contract in .json beside them.

ncnn takes one image at a time, of one size. A file that is no network of ncnn may end the process: open files that you
or lightdet made.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.runtime.engine.contract import runtime_module, unreadable
from lightdet.runtime.engine.ends import PIXELS, by_position

RUNTIME, INSTALL = "ncnn", "install ncnn (pip install ncnn)"
MOST_BYTES = 2**20  # of the contract


class Ncnn:
    """See `Engine`. threads: that compute; None: ncnn's choice."""

    runtime = RUNTIME
    reentrant = False
    inputs: Mapping[str, tuple[str, int]] = PIXELS

    def __init__(self, path: Path, threads: int | None) -> None:
        self._ncnn = runtime_module(path, "ncnn", RUNTIME, INSTALL)
        told = path.with_suffix(".json")
        if not told.is_file() or told.stat().st_size > MOST_BYTES:
            raise LightdetError(f"{path}: no model that lightdet exported: {told.name} is not beside it")
        self.metadata: str | None = told.read_text(encoding="utf-8", errors="replace")
        self.outputs: Mapping[str, tuple[int | None, ...]] = by_position(self.metadata, path)
        self._net = self._ncnn.Net()
        options = self._net.opt
        options.use_vulkan_compute = False
        options.use_fp16_arithmetic = options.use_bf16_storage = False
        if threads is not None:
            options.num_threads = threads
        self.threads: int | None = options.num_threads
        if self._net.load_param(str(path)) or self._net.load_model(str(path.with_suffix(".bin"))):
            raise unreadable(path, RUNTIME, ValueError("a layer that it does not know, or weights that do not fit"))

    def run(self, outputs: Sequence[str], given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        (image,) = given["images"]
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
        extractor = self._net.create_extractor()
        taken = self._ncnn.Mat(pixels).clone()  # the first one has the memory of numpy, on which ncnn dies
        if extractor.input("in0", taken):
            raise ValueError("it does not take this image")
        found = []
        for place, (name, shape) in enumerate(self.outputs.items()):
            if name not in outputs:
                continue
            failed, values = extractor.extract(f"out{place}")
            array = np.array(values)  # a copy: the memory is the extractor's
            if failed or array.ndim != len(shape) - 1:
                raise ValueError(f"it gave no {name}")
            found.append(array[None])
        return found


open_file = Ncnn
