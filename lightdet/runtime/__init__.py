"""Exported models without torch: numpy, OpenCV, Pillow and onnxruntime are enough.

from lightdet.runtime import load
print(load("model.onnx")("part.jpg")[0].to_dict())
"""

from lightdet.runtime.session import Exported as load  # noqa: N813  # reads as what it does

__all__ = ["load"]
