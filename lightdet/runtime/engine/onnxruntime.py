"""ONNX Runtime on the CPU: files that end in .onnx."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lightdet.runtime.contract import METADATA
from lightdet.runtime.engine.contract import runtime_module, unreadable

RUNTIME, INSTALL = "onnxruntime", "install onnxruntime (pip install onnxruntime)"


class OnnxRuntime:
    """See `Engine`. threads: that compute; None: onnxruntime's choice."""

    runtime = RUNTIME
    reentrant = True

    def __init__(self, path: Path, threads: int | None) -> None:
        self.threads = threads
        onnxruntime = runtime_module(path, "onnxruntime", RUNTIME, INSTALL)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own kinds of error, without a common base
            raise unreadable(path, RUNTIME, error) from error
        self.metadata: str | None = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        self.inputs: Mapping[str, tuple[str, int]] = {
            each.name: (_type(each.type), len(each.shape)) for each in self._session.get_inputs()
        }
        self.outputs: Mapping[str, tuple[int | None, ...]] = {
            each.name: tuple(size if isinstance(size, int) else None for size in each.shape)
            for each in self._session.get_outputs()
        }

    def run(self, outputs: Sequence[str], given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = self._session.run(list(outputs), dict(given))
        return found


def _type(name: str) -> str:
    """tensor(uint8) -> uint8; ONNX Runtime's float is float32."""
    inner = name.removeprefix("tensor(").removesuffix(")")
    return "float32" if inner == "float" else inner


open_file = OnnxRuntime
