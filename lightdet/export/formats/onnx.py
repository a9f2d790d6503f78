"""ONNX: one file with the network, its decoding, the selection of boxes and the contract in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightdet.core.files import write_bytes
from lightdet.export.choice import Format

if TYPE_CHECKING:
    from lightdet.export.source import Source


def write(source: Source, precision: str, contract: Mapping[str, Any], path: Path) -> None:
    from lightdet.export.onnx_file import in_precision, with_contract

    made, told = in_precision(source, precision, path.suffix)
    write_bytes(path, with_contract(made, {**contract, "precision": {**contract["precision"], **told}}))


FORMAT = Format(
    ".onnx", ("onnx", "onnxruntime"), "pip install 'lightdet[export]'", ("float32", "float16", "int8"), write, True
)
