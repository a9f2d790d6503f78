"""Weights and activations of convolutions in 8 bits, made after training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx

from lightdet.export.budget import Budget
from lightdet.export.choice import Precision

if TYPE_CHECKING:
    from lightdet.export.source import Source

# How well boxes fit is told by the scores on all images; a single box that two defects share may move far.
BUDGET = Budget(overall=1.0, pixels=64.0, score=0.25, near=0.25, missed=0.1, noise=False)


def convert(graph: onnx.ModelProto, source: Source, ending: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    from lightdet.export.int8_trials import convert as convert_with_trials

    return convert_with_trials(graph, source, ending, BUDGET)


PRECISION = Precision(BUDGET, convert)
