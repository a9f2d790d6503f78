"""Boxes of an exported file with onnxruntime, numpy and Pillow alone; nothing of lightdet is imported.

lightdet export RUN --format onnx --input photo --out model.onnx
python predict.py model.onnx image.png ...
"""

import json
import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or onnxruntime reports to its maker, from version 1.29 on

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1])
contract = json.loads(session.get_modelmeta().custom_metadata_map["lightdet"])
for path in sys.argv[2:]:  # images of 8 bits; contract["input"]["before"] says how more bits become 8
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    (detections,) = session.run(["detections"], {"image": np.asarray(image)})
    for *box, score, label in detections.tolist():
        print(path, contract["classes"][int(label)], round(score, 5), [round(side, 2) for side in box], sep="\t")
