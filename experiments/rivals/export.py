"""Runs in the environment of Ultralytics, not in that of lightdet: writes NAME.onnx for each of its architectures.

Arguments: folder, input side in px, number of classes, architectures such as yolo26n.yaml. Weights are the initial
ones, BatchNorm is folded, and what its own export leaves out (suppression, except for models that need none) is
left out.
"""

import shutil
import sys
from pathlib import Path

import ultralytics
from ultralytics.nn.tasks import DetectionModel

folder, size, classes, *architectures = sys.argv[1:]
for architecture in architectures:
    model = ultralytics.YOLO(architecture)
    args, task = model.model.args, model.model.task
    model.model = DetectionModel(architecture, nc=int(classes), verbose=False)
    model.model.args, model.model.task = args, task
    print(architecture, sum(parameter.numel() for parameter in model.model.parameters()), flush=True)
    written = model.export(format="onnx", imgsz=int(size), simplify=True, opset=17, device="cpu")
    shutil.move(written, Path(folder) / f"{Path(architecture).stem}.onnx")
