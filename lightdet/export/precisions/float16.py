"""Weights in half the bytes; the computation stays in float32, as processors without half precision need it anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lightdet.export.budget import Budget
from lightdet.export.choice import Precision

if TYPE_CHECKING:
    from lightdet.export.source import Source

SMALLEST = 64  # numbers; constants of the decoding and of the selection are smaller, and keep their precision
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def convert(graph: onnx.ModelProto, source: Source, ending: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The weights of convolutions and matrices are stored in half; one that half cannot hold stays as it is."""
    used = {name for node in graph.graph.node if node.op_type in WEIGHTED for name in node.input[1:]}
    casts = []
    for tensor in graph.graph.initializer:
        if tensor.name not in used or tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < SMALLEST or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = f"{tensor.name}/half"
        casts.append(helper.make_node("Cast", [name], [tensor.name], name=f"{name}/cast", to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name))
    nodes = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend([*casts, *nodes])
    return graph, {"weights": "float16", "computation": "float32"}


PRECISION = Precision(Budget(score=1e-2, near=2e-2, pixels=1.0), convert)
