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

from lightdet.core.errors import LightdetError
from lightdet.export.choice import precision_of
from lightdet.export.graph import Graph
from lightdet.export.photo import with_image_input
from lightdet.export.selection import Selection
from lightdet.export.source import Source
from lightdet.export.tail import add_selection
from lightdet.model.classifier import Classifier
from lightdet.model.contract import Model
from lightdet.model.detector import DenseDetector
from lightdet.model.exported import BOXES, LOGITS, SCORES
from lightdet.nn.inputs import in_channels
from lightdet.ops.grid import ImageSize, height_width
from lightdet.runtime.contract import METADATA

OPSET = 17
IMAGES, PLACING = "images", "placing"  # inputs
DETECTIONS, PROBABILITIES = "detections", "probabilities"  # output of a detector, of a classifier


def in_precision(source: Source, precision: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The run's model with the numbers of a precision, and what the contract tells of them. Raises LightdetError for a
    model that has no such form."""
    made = onnx_model(source.model, source.image_size, source.selection, source.open_size)
    made, told = precision_of(precision).convert(made, source)
    if source.photo:
        made = with_image_input(made, source.image_size, in_channels(source.model.network))
    return made, told


class Whole(nn.Module):
    """images (B, H, W, channels) uint8 -> what the model computes of them before any selection."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        pixels = images.permute(0, 3, 1, 2).float() / 255
        if isinstance(self.model, DenseDetector):
            return self.model.scored_boxes(pixels)
        assert isinstance(self.model, Classifier)
        logits = self.model.network(pixels).float()
        return self.model.probabilities(logits), logits


def onnx_model(
    model: Model, image_size: ImageSize, selection: Selection | None, open_size: bool = False
) -> onnx.ModelProto:
    """The model as an ONNX graph for any number of images.

    selection: of a detector; None: the file ends with all scored boxes. open_size: the input's height and width may be
    any multiples of the network's coarsest stride, else they are those of `image_size`. Raises LightdetError for a
    model that has no such form.
    """
    is_detector = isinstance(model, DenseDetector)
    if not is_detector and not isinstance(model, Classifier):
        raise LightdetError(
            f"{type(model).__name__} has no exported form yet: classifiers of one class for an image have one, and "
            "detectors of scored boxes"
        )
    whole = Whole(model).eval()
    outputs = (BOXES, SCORES) if is_detector else (PROBABILITIES, LOGITS)
    made = _traced(whole, _example(model, image_size), outputs, open_size)
    if is_detector and selection is not None:
        _append(made, selection)
    onnx.checker.check_model(made)
    return made


def _example(model: Model, image_size: ImageSize) -> Tensor:
    """Two images, so that no number of images is frozen unseen, or one where the network takes no more."""
    shape = (1 if takes_one_image(model) else 2, *height_width(image_size), in_channels(model.network))
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def takes_one_image(model: Model) -> bool:
    """Whether the exported network takes one image at a time."""
    return bool(getattr(model.network, "one_image", False))


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
