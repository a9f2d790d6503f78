"""Weights and activations in 8 bits."""

from typing import Any

import onnx

from lightdet.core.errors import LightdetError
from lightdet.export.budget import Budget
from lightdet.export.choice import Precision
from lightdet.export.source import Source


def convert(graph: onnx.ModelProto, source: Source) -> tuple[onnx.ModelProto, dict[str, Any]]:
    raise LightdetError("precision int8: not there yet")


PRECISION = Precision(Budget(overall=1.0, pixels=8.0, score=0.25, near=0.25, missed=0.1), convert)
