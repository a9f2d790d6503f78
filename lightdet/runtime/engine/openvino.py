"""OpenVINO on the CPU: files that end in .xml, with their weights beside them in .bin."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lightdet.runtime.contract import METADATA
from lightdet.runtime.engine.contract import runtime_module, unreadable

RUNTIME, INSTALL = "OpenVINO", "install openvino (pip install openvino)"
CONTRACT, PRECISION = [METADATA, "contract"], [METADATA, "precision"]  # places in the file's rt_info
HINTS = ("f32", "bf16")  # precisions of the computation; of a processor's own choice the numbers would depend on it


class OpenVino:
    """See `Engine`. threads: that compute; None: OpenVINO's choice.

    It computes in float32 whatever the processor prefers, unless the file says bfloat16.
    """

    runtime = RUNTIME

    def __init__(self, path: Path, threads: int | None) -> None:
        openvino = runtime_module(path, "openvino", RUNTIME, INSTALL)
        core = openvino.Core()
        try:
            model = core.read_model(str(path))
            hint = _told(model, PRECISION)
            settings: dict[str, str | int] = {
                "INFERENCE_PRECISION_HINT": hint if hint in HINTS else HINTS[0],
                "PERFORMANCE_HINT": "LATENCY",
            }
            if threads is not None:
                settings["INFERENCE_NUM_THREADS"] = threads
            self.metadata = _told(model, CONTRACT)
            compiled = core.compile_model(model, "CPU", settings)
            self._request = compiled.create_infer_request()
        except Exception as error:  # its own kinds of error, without a common base
            raise unreadable(path, RUNTIME, error) from error
        self.inputs: Mapping[str, tuple[str, int]] = {
            each.get_any_name(): (_type(each), each.get_partial_shape().rank.get_length()) for each in compiled.inputs
        }
        self._ends = {each.get_any_name(): each for each in compiled.outputs}
        self.outputs: Mapping[str, tuple[int | None, ...]] = {
            name: tuple(None if size.is_dynamic else size.get_length() for size in each.get_partial_shape())
            for name, each in self._ends.items()
        }

    def run(self, outputs: Sequence[str], given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        answers = self._request.infer(dict(given))
        return [np.array(answers[self._ends[name]]) for name in outputs]  # a copy: the request's memory is used again


def _told(model: object, place: Sequence[str]) -> str | None:
    if not model.has_rt_info(list(place)):  # type: ignore[attr-defined]
        return None
    value = model.get_rt_info(list(place))  # type: ignore[attr-defined]
    return str(getattr(value, "value", value))


def _type(end: object) -> str:
    return str(end.get_element_type().to_dtype())  # type: ignore[attr-defined]


open_file = OpenVino
