"""A process of bench.py: predicts on the folders whose names it reads, with a clone's own code.

worker.py CLONE predict|runtime|before RUN-OR-FILE
"""

import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter

clone, way, model = sys.argv[1:]
sys.path.insert(0, clone)
told = sys.stdout
sys.stdout = sys.stderr
THREADS = 2

if way == "runtime":
    from lightdet.runtime import load
    from lightdet.runtime.pipeline import in_order

    file = load(model, 1)

    def predict(folder: Path, out: Path) -> int:
        boxes = 0
        with open(out / "predictions.jsonl", "w") as lines:
            paths = sorted(folder.iterdir())
            for result in in_order(paths, lambda path: file(path)[0].to_dict(), THREADS, THREADS):
                lines.write(json.dumps(result) + "\n")
                boxes += len(result["boxes"])
        return boxes
else:
    import torch

    from lightdet.engine.predictor import Stopwatch, load_predictor

    torch.set_num_threads(THREADS)
    predictor = load_predictor(Path(model))
    if way == "before":
        from lightdet.runtime.sources import Original

        def predict(folder: Path, out: Path) -> int:  # what predict_files did, without drawing
            boxes = 0
            with open(out / "predictions.jsonl", "w") as lines:
                for path in sorted(folder.iterdir()):
                    result = predictor.predict(Original(path, predictor.bits), Stopwatch("cpu")).to_dict()
                    lines.write(json.dumps(result) + "\n")
                    lines.flush()
                    boxes += len(result["boxes"])
            return boxes
    else:
        from lightdet.engine.jobs import jobs_of
        from lightdet.engine.predict import Wanted
        from lightdet.engine.predict import predict as predict_all

        def predict(folder: Path, out: Path) -> int:
            wanted = Wanted(pictures=False, threads=THREADS)
            summary = predict_all(predictor, jobs_of([str(folder)], out / "found", False, None), out / "found", wanted)
            return sum(summary.names.values())


for line in sys.stdin:
    folder = Path(line.strip())
    with tempfile.TemporaryDirectory() as out:
        start = perf_counter()
        found = predict(folder, Path(out))
        seconds = perf_counter() - start
    facts = {"seconds": seconds, "images": len(list(folder.iterdir())), "boxes": found}
    print(json.dumps(facts), file=told, flush=True)
