"""Exported files by their names. Standard library alone: it is read where only a runtime is installed."""

from pathlib import Path

EXPORTED = {  # ending of the main file -> file of lightdet/runtime/engine
    ".onnx": "onnxruntime",
    ".xml": "openvino",
    ".torchscript": "torchscript",
    ".pt2": "program",
    ".param": "ncnn",
}


def is_exported(path: Path) -> bool:
    """Whether a path is that of an exported file, by its name."""
    return path.suffix.lower() in EXPORTED
