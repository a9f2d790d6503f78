"""Backends that run a network: each turns a folded network and an example into a call that can be timed."""

import copy
import math
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError

OPSET = 17
FAR = 0.5  # root mean square difference, of a map's own root mean square: rounding to bfloat16 comes to .15 at most
Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that returns the raw maps, as tensors or arrays."""

    call: Call
    difference: float | None = None  # largest absolute difference of a raw value from eager PyTorch; None: not compared


# (folded network in eval mode, images (B, C, H, W), threads); raises LightdetError for maps that differ from eager's
Backend = Callable[[nn.Module, Tensor, int], Prepared]


def eager(network: nn.Module, images: Tensor, threads: int) -> Prepared:
    """PyTorch as it is, maps in the order (B, C, H, W)."""
    return Prepared(_torch_call(network, images))


def channels_last(network: nn.Module, images: Tensor, threads: int) -> Prepared:
    """PyTorch as it is, memory in the order (B, H, W, C)."""
    moved = copy.deepcopy(network).to(memory_format=torch.channels_last)
    call = _torch_call(moved, images.contiguous(memory_format=torch.channels_last))
    return _compared(call, network, images)


def compiled(network: nn.Module, images: Tensor, threads: int) -> Prepared:
    """`torch.compile`; needs a C++ compiler on a CPU."""
    call = _torch_call(torch.compile(network), images)
    return _compared(call, network, images)


def onnx_runtime(network: nn.Module, images: Tensor, threads: int) -> Prepared:
    """ONNX Runtime on the CPU in float32; its threads sleep while they wait."""
    with tempfile.TemporaryDirectory() as folder:
        call = onnx_call(export(network, images, Path(folder)), images, threads)
    return _compared(call, network, images)


def onnx_call(path: Path, images: Tensor, threads: int) -> Call:
    """The file, loaded by ONNX Runtime, called with these images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: images.cpu().numpy()}
    return lambda: session.run(None, given)


def openvino_f32(network: nn.Module, images: Tensor, threads: int) -> Prepared:
    """OpenVINO on the CPU, held to float32."""
    return _openvino(network, images, threads, "f32")


def openvino_bf16(network: nn.Module, images: Tensor, threads: int) -> Prepared:
    """OpenVINO on the CPU in bfloat16; a processor without AMX or AVX-512 computes in float32 all the same."""
    return _openvino(network, images, threads, "bf16")


BACKENDS: dict[str, Backend] = {
    "eager": eager,
    "channels-last": channels_last,
    "compiled": compiled,
    "onnxruntime": onnx_runtime,
    "openvino-f32": openvino_f32,
    "openvino-bf16": openvino_bf16,
}


def network_maps(network: nn.Module, images: Tensor) -> Sequence[Tensor]:
    """The raw outputs of an inference."""
    with torch.inference_mode():
        return _listed(network(images))


def _listed(outputs: Any) -> Sequence[Tensor]:
    """A detector's maps; the logits of a classifier as the only one."""
    return [outputs] if isinstance(outputs, Tensor) else outputs


def export(network: nn.Module, images: Tensor, folder: Path) -> Path:
    """One ONNX file for input of exactly this shape, in `folder`."""
    path = folder / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's advice about shapes, which are fixed here
        torch.onnx.export(network, (images,), str(path), dynamo=False, opset_version=OPSET)
    return path


def _openvino(network: nn.Module, images: Tensor, threads: int, precision: str) -> Prepared:
    with tempfile.TemporaryDirectory() as folder:
        call = openvino_call(export(network, images, Path(folder)), images, threads, precision)
    return _compared(call, network, images)


def openvino_call(path: Path, images: Tensor, threads: int, precision: str) -> Call:
    """The file, compiled by OpenVINO, called with these images. Raises LightdetError where it lacks the precision."""
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    model = core.compile_model(str(path), "CPU", settings)
    used = str(model.get_property("INFERENCE_PRECISION_HINT"))
    if precision not in used and {"f32": "float", "bf16": "bfloat16"}[precision] not in used:
        raise LightdetError(f"OpenVINO computes in {used} on this processor, not in {precision}")
    request, given = model.create_infer_request(), images.cpu().numpy()

    def call() -> list[np.ndarray]:
        answers = request.infer([given], share_inputs=True)
        return [answers[output] for output in model.outputs]

    return call


def _torch_call(network: Callable[[Tensor], Any], images: Tensor) -> Call:
    def call() -> Any:
        with torch.inference_mode():
            maps = _listed(network(images))
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        return maps

    return call


def _compared(call: Call, network: nn.Module, images: Tensor) -> Prepared:
    """The call with the largest difference of its maps from eager PyTorch's. Raises LightdetError for other maps."""
    differences = [0.0]
    for number, (one, other) in enumerate(zip(network_maps(network, images), call(), strict=True)):
        expected, found = one.cpu().float(), torch.as_tensor(other).cpu().float()
        if found.shape != expected.shape:
            shapes = f"{tuple(found.shape)}, in eager PyTorch {tuple(expected.shape)}"
            raise LightdetError(f"gives other maps than the network: map {number} is {shapes}")
        off, size = float((expected - found).norm()), float(expected.norm())
        reordered = getattr(network, "any_order", False) and math.isfinite(off)
        if not (off <= FAR * size or reordered):  # NaN is not below it either
            share = f"the difference is {off / size if size else math.inf:.2g} of the size of map {number}"
            raise LightdetError(f"gives other maps than the network: {share}")
        differences.append(float((expected - found).abs().max()))
    return Prepared(call, max(differences))
