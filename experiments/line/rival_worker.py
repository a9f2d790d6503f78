"""A process of bench.py in the environment of Ultralytics: predicts on folders with its own tool.

rival_worker.py FILE IMAGE_SIZE
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # its log goes to the standard output that is there when it is imported

import torch  # noqa: E402
import ultralytics  # noqa: E402

file, size = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(2)
model = ultralytics.YOLO(file, task="detect")

for line in sys.stdin:
    folder = Path(line.strip())
    boxes = 0
    with tempfile.TemporaryDirectory() as out:
        start = perf_counter()
        with open(Path(out) / "predictions.jsonl", "w") as lines:
            for result in model.predict(str(folder), imgsz=size, stream=True, verbose=False, device="cpu"):
                lines.write(json.dumps({"file": result.path, "boxes": json.loads(result.to_json())}) + "\n")
                boxes += len(result.boxes)
        seconds = perf_counter() - start
    facts = {"seconds": seconds, "images": len(list(folder.iterdir())), "boxes": boxes}
    print(json.dumps(facts), file=told, flush=True)
