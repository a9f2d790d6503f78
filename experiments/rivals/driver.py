"""Runs in the environment of Ultralytics, not in lightdet's: trains one of its models, then writes its detections.

Takes one argument, JSON: {"version", "architecture", "threads", "seed", "folder", "images", "train": arguments of its
`train`}. Continues from the last checkpoint under "folder" where there is one. Writes to standard output a line
"@{...}" per epoch and one at the end; detections.json under "folder" then holds, under "images", a list [[x1, y1, x2,
y2, score, label], ...] in original px for each of the files in "images". Ends when its standard input does.
"""

import json
import os
import sys
import threading
from pathlib import Path

import torch
import ultralytics
from torch.utils.flop_counter import FlopCounterMode

SCORE, NMS_IOU, MOST = 0.001, 0.7, 300  # as its own validation has them


def report(**facts: object) -> None:
    print("@" + json.dumps(facts), flush=True)


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    request = json.loads(sys.argv[1])
    if ultralytics.__version__ != request["version"]:
        raise SystemExit(f"this environment has Ultralytics {ultralytics.__version__}, not {request['version']}")
    threading.Thread(target=end_with_parent, daemon=True).start()

    def set_threads(trainer: object) -> None:
        torch.set_num_threads(request["threads"])  # its own choice on a small machine is one less than the cores

    def report_epoch(trainer: object) -> None:
        if trainer.epoch == trainer.epochs:  # the best weights, validated once more
            return
        own = {key: float(value) for key, value in trainer.metrics.items()}
        losses = {name: float(value) for name, value in trainer.tloss.items()}
        rate = float(trainer.optimizer.param_groups[0]["lr"])
        report(epoch=trainer.epoch, lr=rate, losses=losses, map50=own[MAP50], map50_95=own[MAP50_95])

    folder = Path(request["folder"])
    last, trained = folder / "training" / "weights" / "last.pt", folder / "trained"
    model = ultralytics.YOLO(str(last) if last.exists() else request["architecture"])
    model.add_callback("on_train_start", set_threads)
    model.add_callback("on_fit_epoch_end", report_epoch)
    fixed = {"project": str(folder), "name": "training", "exist_ok": True}
    settings = {**request["train"], "seed": request["seed"], **fixed}
    if not trained.exists():
        model.train(**({"resume": True} if last.exists() else settings))
        trained.touch()  # a finished training cannot be resumed
    best = ultralytics.YOLO(str(folder / "training" / "weights" / "best.pt"))
    size, device = request["train"]["imgsz"], request["train"]["device"]
    network = best.model.float().eval()  # as trained: validation fuses it
    parameters = sum(parameter.numel() for parameter in network.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, size, size))
    own = best.val(data=request["train"]["data"], imgsz=size, batch=16, device=device, plots=False, verbose=False)
    found = []
    for path in request["images"]:
        (result,) = best.predict(path, imgsz=size, conf=SCORE, iou=NMS_IOU, max_det=MOST, device=device, verbose=False)
        found.append(result.boxes.data.cpu().double().numpy().tolist())
    (folder / "detections.json").write_text(json.dumps({"images": found}))
    report(
        finished=True,
        map50=float(own.box.map50),
        map50_95=float(own.box.map),
        parameters=parameters,
        flops=counter.get_total_flops(),
        torch=torch.__version__,
    )


MAP50, MAP50_95 = "metrics/mAP50(B)", "metrics/mAP50-95(B)"
if __name__ == "__main__":
    main()
