"""OpenVINO: an .xml with its weights beside it in .bin, made from the ONNX graph; the contract is in its rt_info."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightdet.export.choice import Format
from lightdet.runtime.engine.openvino import CONTRACT, PRECISION

if TYPE_CHECKING:
    from lightdet.export.source import Source

HINTS = {"bfloat16": "bf16"}  # the precision of the computation where it is not f32


def write(source: Source, precision: str, contract: Mapping[str, Any], path: Path) -> None:
    import openvino

    from lightdet.export.onnx_file import in_precision

    made, told = in_precision(source, precision, path.suffix)
    # openvino.convert_model does the same and calls home besides (openvino_telemetry)
    model = openvino.Core().read_model(made.SerializeToString())
    whole = {**contract, "precision": {**contract["precision"], **told}}
    model.set_rt_info(json.dumps(whole, allow_nan=False), CONTRACT)
    model.set_rt_info(HINTS.get(precision, "f32"), PRECISION)
    openvino.save_model(model, str(path), compress_to_fp16=precision in ("float16", "bfloat16"))


FORMAT = Format(
    ".xml",
    ("onnx", "openvino"),
    "pip install 'lightdet[export,openvino]'",
    ("float32", "float16", "bfloat16", "int8"),
    write,
    True,
)
