"""int8 after training: an ONNX graph whose convolutions compute with whole numbers, in pairs of QuantizeLinear and
DequantizeLinear that onnxruntime and OpenVINO turn into integer kernels.

Only convolutions are quantized: what decodes boxes (distances, softmax, sigmoid) and what selects them stay in float,
for they take a small share of the time and lose most. Weights have a scale for each output channel, activations one
for each tensor (Jacob et al. 2018, arXiv 1712.05877).
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lightdet.core.errors import LightdetError
from lightdet.ops.steps import LEAST_SCALE, steps

OPERATION = "Conv"
FOLLOWERS = {"Relu", "Clip", "LeakyRelu"}  # kernels compute them with the convolution, before its output is rounded


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a graph is quantized.

    signed: activations are int8 and not uint8. weight_bits: 8, or 7 where sums of products of the CPU's instructions
    saturate. outputs: the outputs of convolutions are rounded as well, which onnxruntime's integer kernels need;
    OpenVINO's take float outputs and compute what follows with them. clip: name of the rule that limits the range of
    activations, see `Ranges`. kept: names of the convolutions that stay in float.
    """

    signed: bool = False
    weight_bits: int = 8
    outputs: bool = True
    clip: str = "minmax"
    kept: tuple[str, ...] = ()

    def words(self) -> str:
        """In short, as tables and the format's name have it."""
        kind = f"{'int8' if self.signed else 'uint8'} x int{self.weight_bits}, {self.clip}"
        return f"{kind}, {len(self.kept)} layers in float" if self.kept else kind

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "kept": list(self.kept)}


def layers(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions that can be quantized, in the order of computation.

    Raises LightdetError for a graph that has none.
    """
    weights = {each.name for each in model.graph.initializer}
    found = [node.name for node in model.graph.node if node.op_type == OPERATION and node.input[1] in weights]
    if not found:
        raise LightdetError("int8: the graph has no convolution with constant weights; export it as float32")
    return found


def tensors(model: onnx.ModelProto) -> list[str]:
    """Names of the activations whose ranges `quantized` needs."""
    ends = _outputs(model)
    wanted = {name: None for node in _convolutions(model, ()) for name in (node.input[0], ends[node.name])}
    return list(wanted)


def quantized(
    model: onnx.ModelProto,
    ranges: Mapping[str, tuple[float, float]],
    means: Mapping[str, np.ndarray],
    recipe: Recipe,
    only: Collection[str] = (),
) -> onnx.ModelProto:
    """A quantized copy of the graph. ranges: least and largest value of each of `tensors(model)`; means: the mean of
    each channel of those that convolutions take, with which biases make up for what rounded weights lose on average
    (Nagel et al. 2019, arXiv 1906.04721). only: names of the convolutions to quantize; none: all but those the recipe
    keeps."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    kept = {name for name in layers(model) if name not in only} if only else set(recipe.kept)
    wanted = _convolutions(made, kept)
    ends = _outputs(made)
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    writer = _Writer(graph, ranges, recipe)
    for node in wanted:
        source, scale = writer.activation(node.input[0])
        values = weights[node.input[1]]
        scales, rounded = writer.weight(node, values)
        shift = lost_on_average(values - rounded, means[node.input[0]])
        if len(node.input) == 2 or node.input[2] in weights:
            bias = weights[node.input[2]] if len(node.input) > 2 else np.zeros(len(values), np.float32)
            writer.bias(node, bias + shift, scale * scales)
        node.input[0] = source
    if recipe.outputs:
        for node in wanted:
            writer.output(ends[node.name])
    writer.finish()
    return made


class _Writer:
    """Adds pairs of QuantizeLinear and DequantizeLinear to a graph; `finish` puts them in the order of computation."""

    def __init__(self, graph: onnx.GraphProto, ranges: Mapping[str, tuple[float, float]], recipe: Recipe) -> None:
        self.graph = graph
        self.ranges = ranges
        self.recipe = recipe
        self._pairs: dict[str, tuple[str, float]] = {}  # activation -> its rounded twin, scale
        self._behind: dict[str, list[onnx.NodeProto]] = {}  # tensor -> nodes that follow its maker
        self._first: list[onnx.NodeProto] = []

    def activation(self, name: str) -> tuple[str, float]:
        """The rounded twin of an activation, and the scale of its steps."""
        if name not in self._pairs:
            low, high = self.ranges[name]
            scale, zero = steps(low, high, self.recipe.signed)
            kind = np.int8 if self.recipe.signed else np.uint8
            inputs = [self._constant(f"{name}/scale", np.float32(scale)), self._constant(f"{name}/zero", kind(zero))]
            rounded, twin = f"{name}/rounded", f"{name}/twin"
            self._behind[name] = [
                helper.make_node("QuantizeLinear", [name, *inputs], [rounded], name=f"{name}/quantize"),
                helper.make_node("DequantizeLinear", [rounded, *inputs], [twin], name=f"{name}/restore"),
            ]
            self._pairs[name] = twin, scale
        return self._pairs[name]

    def output(self, name: str) -> None:
        """Rounds an activation for everything that uses it."""
        twin, _ = self.activation(name)
        for node in self.graph.node:
            node.input[:] = [twin if each == name else each for each in node.input]

    def weight(self, node: onnx.NodeProto, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Replaces a convolution's weights by whole numbers; returns the scale of each output channel, and the weights
        that they stand for."""
        most = 2 ** (self.recipe.weight_bits - 1) - 1
        scales = np.maximum(np.abs(values).reshape(len(values), -1).max(axis=1) / most, LEAST_SCALE).astype(np.float32)
        whole = np.rint(values / scales[:, None, None, None]).clip(-most, most).astype(np.int8)
        node.input[1] = self._restored(f"{node.name}/weight", whole, scales)
        return scales, whole * scales[:, None, None, None]

    def bias(self, node: onnx.NodeProto, values: np.ndarray, scales: np.ndarray) -> None:
        """Replaces a convolution's bias by 32-bit numbers of the steps in which its sums are kept."""
        limit = 2.0**31 - 1
        whole = np.rint(values.astype(np.float64) / scales).clip(-limit, limit).astype(np.int32)
        twin = self._restored(f"{node.name}/bias", whole, scales.astype(np.float32))
        node.input[:] = [*node.input[:2], twin]

    def finish(self) -> None:
        """Puts the new nodes behind the makers of what they round, and drops values that nothing uses."""
        made = [*self._first]
        for name in (each.name for each in self.graph.input):
            made += self._behind.get(name, [])
        for node in self.graph.node:
            made.append(node)
            for name in node.output:
                made += self._behind.get(name, [])
        used = {name for node in made for name in node.input}
        left = [each for each in self.graph.initializer if each.name in used]
        nodes = [copied(node) for node in made]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(left)

    def _restored(self, name: str, whole: np.ndarray, scales: np.ndarray) -> str:
        inputs = [self._constant(name, whole), self._constant(f"{name}/scale", scales)]
        inputs.append(self._constant(f"{name}/zero", np.zeros(len(scales), whole.dtype)))
        self._first.append(
            helper.make_node("DequantizeLinear", inputs, [f"{name}/twin"], name=f"{name}/restore", axis=0)
        )
        return f"{name}/twin"

    def _constant(self, name: str, values: Any) -> str:
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name


def lost_on_average(lost: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(outputs,): what the sums of a convolution lose where its weights lose `lost` (outputs, inputs of a group, h, w)
    and its input channels have these means; the border, where the input ends, is left out."""
    inputs = lost.shape[1]
    groups = len(means) // inputs
    of_output = np.repeat(means.reshape(groups, inputs), len(lost) // groups, axis=0)
    return np.asarray((lost.sum((2, 3)) * of_output).sum(1), np.float32)


def copied(node: onnx.NodeProto) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    return made


def _convolutions(model: onnx.ModelProto, kept: Collection[str]) -> list[onnx.NodeProto]:
    wanted = set(layers(model)) - set(kept)
    return [node for node in model.graph.node if node.name in wanted]


def _outputs(model: onnx.ModelProto) -> dict[str, str]:
    """The tensor in which a convolution's sums end: its output, or that of the activation which alone uses it."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    ends = {}
    for node in model.graph.node:
        if node.op_type == OPERATION:
            follow = users.get(node.output[0], [])
            alone = len(follow) == 1 and follow[0].op_type in FOLLOWERS
            ends[node.name] = follow[0].output[0] if alone else node.output[0]
    return ends
