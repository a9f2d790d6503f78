"""The ONNX graph of a model: network, decoding and the selection of boxes, with the contract. Opset 17."""

import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from lightdet.export.choice import precision_of
from lightdet.export.graph import Graph
from lightdet.export.photo import with_image_input
from lightdet.export.source import Source
from lightdet.export.tail import add_selection
from lightdet.export.whole import Whole, example
from lightdet.model.contract import Model
from lightdet.model.detector import DenseDetector
from lightdet.model.exported import BOXES, LOGITS, SCORES
from lightdet.nn.inputs import in_channels
from lightdet.ops.grid import ImageSize
from lightdet.runtime.contract import METADATA
from lightdet.runtime.selection import Selection

OPSET = 17
IMAGES, PLACING = "images", "placing"  # inputs
DETECTIONS, PROBABILITIES = "detections", "probabilities"  # output of a detector, of a classifier


def in_precision(source: Source, precision: str, ending: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The run's model with the numbers of a precision, for the runtime of files with this ending, and what the contract
    tells of them. Raises LightdetError for a model that has no such form."""
    made = onnx_model(source.model, source.image_size, source.selection, source.open_size)
    made, told = precision_of(precision).convert(made, source, ending)
    if source.photo:
        made = with_image_input(made, source.image_size, in_channels(source.model.network))
    return made, told


def onnx_model(
    model: Model, image_size: ImageSize, selection: Selection | None, open_size: bool = False
) -> onnx.ModelProto:
    """The model as an ONNX graph for any number of images.

    selection: of a detector; None: the file ends with all scored boxes. open_size: the input's height and width may be
    any multiples of the network's coarsest stride, else they are those of `image_size`. Raises LightdetError for a
    model that has no such form.
    """
    is_detector = isinstance(model, DenseDetector)
    outputs = (BOXES, SCORES) if is_detector else (PROBABILITIES, LOGITS)
    made = _traced(Whole(model), example(model, image_size), outputs, open_size)
    if is_detector and selection is not None:
        _append(made, selection)
    onnx.checker.check_model(made)
    return made


def _traced(whole: nn.Module, example: Tensor, outputs: Sequence[str], open_size: bool) -> onnx.ModelProto:
    sides = {1: "height", 2: "width"} if open_size else {}
    batch = {0: "batch"} if len(example) > 1 else {}
    axes = {IMAGES: {**batch, **sides}} | {name: dict(batch) for name in outputs}
    if open_size and BOXES in axes:
        axes[BOXES][1] = axes[SCORES][1] = "boxes"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        path = Path(folder) / "network.onnx"
        warnings.simplefilter("ignore")  # the tracer's advice about shapes; the gate tries other ones
        torch.onnx.export(
            whole,
            (example,),
            str(path),
            input_names=[IMAGES],
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(str(path))


def _append(made: onnx.ModelProto, selection: Selection) -> None:
    """Puts the selection behind the scored boxes, and the input `placing` beside the images."""
    graph = Graph(made, "select/")
    placing = helper.make_tensor_value_info(PLACING, onnx.TensorProto.FLOAT, ["batch", 6])
    made.graph.input.append(placing)
    graph.rename(add_selection(graph, BOXES, SCORES, IMAGES, PLACING, selection), DETECTIONS)
    found = helper.make_tensor_value_info(DETECTIONS, onnx.TensorProto.FLOAT, ["batch", "detections", 6])
    made.graph.output.insert(0, found)  # the boxes and scores stay outputs: they are computed anyway


def with_contract(made: onnx.ModelProto, contract: Mapping[str, Any]) -> bytes:
    """The file's bytes, with the contract as JSON in its metadata."""
    helper.set_model_props(made, {METADATA: json.dumps(dict(contract), allow_nan=False)})
    content: bytes = made.SerializeToString()
    return content
