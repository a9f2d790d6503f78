"""OpenVINO on the CPU: files that end in .xml, with their weights beside them in .bin."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.runtime.contract import METADATA
from lightdet.runtime.engine.contract import runtime_module, unreadable

RUNTIME, INSTALL = "OpenVINO", "install openvino (pip install openvino)"
CONTRACT, PRECISION = [METADATA, "contract"], [METADATA, "precision"]  # places in the file's rt_info
HINTS = ("f32", "bf16")  # precisions of the computation; of a processor's own choice the numbers would depend on it


class OpenVino:
    """See `Engine`. threads: that compute; None: OpenVINO's choice.

    It computes in float32 whatever the processor prefers, unless the file says bfloat16. A file whose number of images
    is open is compiled for one image when it is loaded, which is faster than the open form (docs/int8.md); that form
    is compiled when several come. Threads that call it at the same time get a compiled model each, which is kept.
    """

    runtime = RUNTIME
    reentrant = False  # one request

    def __init__(self, path: Path, threads: int | None) -> None:
        self.threads = threads
        openvino = runtime_module(path, "openvino", RUNTIME, INSTALL)
        self._core = openvino.Core()
        try:
            model = self._core.read_model(str(path))
            hint = _told(model, PRECISION)
            self._settings: dict[str, str | int] = {
                "INFERENCE_PRECISION_HINT": hint if hint in HINTS else HINTS[0],
                "PERFORMANCE_HINT": "LATENCY",
            }
            if threads is not None:
                self._settings["INFERENCE_NUM_THREADS"] = threads
            self.metadata = _told(model, CONTRACT)
            self.inputs: Mapping[str, tuple[str, int]] = {each.get_any_name(): _input(each) for each in model.inputs}
            self.outputs: Mapping[str, tuple[int | None, ...]] = {
                each.get_any_name(): _lengths(each) for each in model.outputs
            }
            self._model = model
            self._free: dict[bool, list[Any]] = {True: [], False: []}  # requests for one image, for any number
            lengths = [_lengths(each) for each in model.inputs]
            self._has_single = all(each[0] is None and None not in each[1:] for each in lengths)
            self._free[self._has_single].append(self._request(self._has_single))
        except Exception as error:  # its own kinds of error, without a common base
            raise unreadable(path, RUNTIME, error) from error
        self._order = {name: index for index, name in enumerate(self.outputs)}

    def run(self, outputs: Sequence[str], given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        one = self._has_single and all(len(values) == 1 for values in given.values())
        try:
            request = self._free[one].pop()
        except IndexError:  # all are computing
            request = self._request(one)
        try:
            answers = request.infer(dict(given))
            return [np.array(answers[self._order[name]]) for name in outputs]  # copies: its memory is used again
        finally:
            self._free[one].append(request)

    def _request(self, one: bool) -> Any:
        model = self._model
        if one:
            model = model.clone()
            model.reshape({each.get_any_name(): [1, *_lengths(each)[1:]] for each in self._model.inputs})
        return self._core.compile_model(model, "CPU", self._settings).create_infer_request()


def _told(model: object, place: Sequence[str]) -> str | None:
    if not model.has_rt_info(list(place)):  # type: ignore[attr-defined]
        return None
    value = model.get_rt_info(list(place))  # type: ignore[attr-defined]
    return str(getattr(value, "value", value))


def _input(end: Any) -> tuple[str, int]:
    """Type of the numbers, number of axes."""
    return str(end.get_element_type().to_dtype()), end.get_partial_shape().rank.get_length()


def _lengths(end: Any) -> tuple[int | None, ...]:
    """Of the axes; None: open."""
    return tuple(None if size.is_dynamic else size.get_length() for size in end.get_partial_shape())


open_file = OpenVino
