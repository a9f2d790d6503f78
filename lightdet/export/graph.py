"""Adds operations to an ONNX graph: a name in, a name out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INT, FLOAT, BOOL, UINT8 = TensorProto.INT64, TensorProto.FLOAT, TensorProto.BOOL, TensorProto.UINT8
INT32, DOUBLE = TensorProto.INT32, TensorProto.DOUBLE


class Graph:
    """A graph or that of a model, to which operations are appended; every name that is made begins with `prefix`."""

    def __init__(self, model: onnx.ModelProto | onnx.GraphProto, prefix: str) -> None:
        self.graph = model.graph if isinstance(model, onnx.ModelProto) else model
        self.prefix = prefix
        self._made = 0

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The output of an operation with one output; "" stands for an input that is left out."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """The outputs of an operation."""
        self._made += 1
        names = [f"{self.prefix}{self._made}_{kind}_{index}" for index in range(outputs)]
        name = f"{self.prefix}{self._made}_{kind}"
        self.graph.node.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return names

    def const(self, value: Any, dtype: Any = np.int64, name: str = "") -> str:
        """A constant of the graph, under `name` if one is given."""
        self._made += 1
        name = name or f"{self.prefix}{self._made}_const"
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def cast(self, name: str, to: int) -> str:
        return self.op("Cast", name, to=to)

    def size(self, name: str, axis: int) -> str:
        """(1,) int64: how long the tensor is along an axis."""
        return self.op("Shape", name, start=axis, end=axis + 1)

    def part(self, name: str, begin: int, end: int, axis: int) -> str:
        """The tensor from index `begin` to in front of `end` along an axis."""
        return self.op("Slice", name, self.const([begin]), self.const([end]), self.const([axis]))

    def choose(self, condition: str, then: Callable[["Graph"], str], otherwise: Callable[["Graph"], str]) -> str:
        """The output of `then` or `otherwise`, which append to a graph of their own and may use names of this one; only
        the one that the condition, a single bool, chooses is computed."""
        self._made += 1
        branches = {}
        for key, build in (("then_branch", then), ("else_branch", otherwise)):
            branch = Graph(onnx.GraphProto(name=f"{self.prefix}{key}"), f"{self.prefix}{self._made}_{key}/")
            branch.graph.output.append(onnx.ValueInfoProto(name=build(branch)))
            branches[key] = branch.graph
        return self.op("If", condition, **branches)

    def repeat(self, times: str, start: str, step: Callable[["Graph", str, str], str]) -> str:
        """What is left of `start` after `step(graph, number, value)`, which appends to a graph of its own and may use
        names of this one, was applied for the numbers from 0 to in front of `times`, (1,) int64."""
        self._made += 1
        body = Graph(onnx.GraphProto(name=f"{self.prefix}body"), f"{self.prefix}{self._made}_body/")
        number, going, value = (f"{body.prefix}{name}" for name in ("number", "going", "value"))
        made = [body.op("Identity", going), step(body, number, value)]
        for name, kind, shape in ((number, INT, []), (going, BOOL, []), (value, FLOAT, None)):
            body.graph.input.append(helper.make_tensor_value_info(name, kind, shape))
        for name, kind in zip(made, (BOOL, FLOAT), strict=True):
            body.graph.output.append(helper.make_tensor_value_info(name, kind, [] if kind == BOOL else None))
        return self.op("Loop", times, self.const(True, np.bool_), start, body=body.graph)

    def rename(self, before: str, after: str) -> None:
        """Gives an output of a node another name, wherever it is used."""
        for node in self.graph.node:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == before:
                        names[index] = after
