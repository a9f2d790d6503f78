"""Prunes every YOLO-like preset and SSDLite by .3, trains it, loads it, goes on from its checkpoint, and exports it.

python experiments/compress/every_model.py FOLDER [MODEL ...]

Each model is trained for one epoch on a few synthetic images of 96 px, cut to 0.7 of its FLOPs and trained for one
more. Then the run is opened and predicts; its results are taken away, and the same command must end with equal weights;
it is exported to ONNX, which judges the file. Writes FOLDER/MODEL.json for each, which is not done again, and the table
FOLDER/table.md.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from lightdet.cli.main import main as lightdet
from lightdet.core.table import to_markdown
from lightdet.engine.load import load_run

MODELS = (
    *("light", "proposed", "proposed_literal", "yolov5n", "yolox_nano", "ssdlite_mobilenetv2", "yolox_tiny"),
    *("hybrid_attention", "yolov5_efficientnet", "yolov5s", "yolox_s", "yolov3", "yolov4"),
)
WORDS = (
    *("data.reader.train_images=8", "data.reader.val_images=8", "data.reader.size=96", "image_size=96"),
    *("data.batch_size=4", "trainer.device=cpu", "trainer.max_epochs=1", "trainer.progress=none", "logger=none"),
    *("trainer.precision=32-true", "data.num_workers=0"),
)
HEADER = ("model", "M parameters", "pruned", "GFLOPs", "pruned", "opened", "goes on equal", "ONNX", "minutes")


def train(folder: Path, study: str, *words: str) -> Path:
    assert lightdet(["train", *WORDS, *words, f"runs_dir={folder / 'runs'}", f"study={study}"]) == 0, (
        f"{study}: not done"
    )
    [run] = (folder / "runs" / study).glob("*/s0")
    return run


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_run(run).model.state_dict()


def one(folder: Path, model: str) -> dict[str, Any]:
    """A row of the table."""
    began = time.monotonic()
    whole = train(folder, f"{model}-whole", f"model={model}")
    cut = (f"model={model}", f"weights={whole}", "compress=prune", "compress.flops=0.7")
    run = train(folder, f"{model}-pruned", *cut)
    costs = [json.loads((each / "results.json").read_text())["footprint"] for each in (whole, run)]
    loaded = load_run(run)
    loaded.model.eval().predict(torch.rand(1, 3, 96, 96))
    before = weights(run)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "state": "killed"}))
    (run / "results.json").unlink()
    train(folder, f"{model}-pruned", *cut)
    after = weights(run)
    equal = before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    passed = lightdet(["export", str(run), "--format", "onnx"]) == 0
    return {
        "model": model,
        "parameters": [cost["parameters"] / 1e6 for cost in costs],
        "gflops": [cost["gflops"] for cost in costs],
        "opened": True,
        "equal": equal,
        "onnx": "passed" if passed else "not made, or rejected",
        "minutes": (time.monotonic() - began) / 60,
    }


def main() -> int:
    """0 when every requested model passed."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for model in sys.argv[2:] or MODELS:
        file = folder / f"{model}.json"
        if not file.exists():
            try:
                row = one(folder, model)
            except Exception as error:  # of any kind: the other models go on
                print(f"{model}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                continue
            file.write_text(json.dumps(row) + "\n")
        rows.append(json.loads(file.read_text()))
    lines = [
        [
            row["model"],
            *(f"{value:.2f}" for value in row["parameters"]),
            *(f"{value:.3f}" for value in row["gflops"]),
            *("yes" if row[key] else "NO" for key in ("opened", "equal")),
            row["onnx"],
            f"{row['minutes']:.1f}",
        ]
        for row in rows
    ]
    (folder / "table.md").write_text(to_markdown(HEADER, lines, [False, *[True] * 4, *[False] * 3, True]))
    print((folder / "table.md").read_text())
    good = [row for row in rows if row["equal"] and row["onnx"] == "passed"]
    return 0 if len(good) == len(sys.argv[2:] or MODELS) else 1


if __name__ == "__main__":
    sys.exit(main())
