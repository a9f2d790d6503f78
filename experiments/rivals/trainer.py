"""Trains a rival as a run: exports the images, follows its training, and measures it as every other run is measured."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.rivals.environment import rival_environment
from experiments.rivals.yolo_files import export_yolo, image_copy
from lightdet.callback.metrics_csv import metrics_text
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, read_metrics, write_text
from lightdet.core.types import Detections, Letterbox, Target
from lightdet.data.image import original_size
from lightdet.data.module import ImageData
from lightdet.data.record import Record
from lightdet.engine.evaluate import report_on
from lightdet.engine.train import write_config
from lightdet.metric.detection import DetectionMetric
from lightdet.runs.folder import RunFolder
from lightdet.task.trainer import pick_device

DRIVER = Path(__file__).resolve().parent / "driver.py"


def train(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """What `lightdet.engine.train.train` returns, of a model of Ultralytics; "own_evaluator": its own metrics.

    Data, seed, image_size, data.batch_size, trainer.max_epochs and the threads are those of the configuration and this
    process; all other settings are the rival's. After a kill it continues from the last finished epoch. Raises
    LightdetError where its environment or its training fails.
    """
    began = time.monotonic()
    data: ImageData = instantiate(cfg.data, _convert_="all")
    data.setup("fit")
    write_config(cfg, data, folder)
    copies = folder.path.resolve() / "rival"
    splits = {split: data.records[split] for split in ("train", "val")}
    described = export_yolo(splits, data.classes, copies)
    folder.beat()
    request = {
        **{key: cfg.model[key] for key in ("version", "architecture")},
        "seed": cfg.seed,
        "threads": torch.get_num_threads(),
        "folder": str(copies),
        "images": [str(image_copy(copies, "val", n, record)) for n, record in enumerate(splits["val"])],
        "train": {
            "data": str(described),
            "imgsz": cfg.image_size,
            "batch": cfg.data.batch_size,
            "epochs": cfg.trainer.max_epochs,
            "device": "cpu" if pick_device(cfg.trainer.device).type == "cpu" else "0",
            "cache": "ram",
            **dict.fromkeys(("plots", "pretrained", "verbose"), False),
            **OmegaConf.to_container(cfg.model.arguments),  # type: ignore[dict-item]
        },
    }
    rows = read_metrics(folder.metrics_csv)
    for fact in driven(Path(cfg.model.python), request, copies):
        if "finished" in fact:
            break
        epoch, losses = fact["epoch"], fact["losses"]
        values = {"lr": fact["lr"], **{f"train/{name}": value for name, value in losses.items()}}
        values |= {"train/loss": sum(losses.values()), "own/map50": fact["map50"], "own/map50_95": fact["map50_95"]}
        rows = [row for row in rows if int(row["epoch"]) < epoch]
        rows.append({"epoch": str(epoch)} | {name: f"{value:.7g}" for name, value in values.items()})
        write_text(folder.metrics_csv, metrics_text(rows))
        share = (epoch + 1) / cfg.trainer.max_epochs
        folder.write_status("running", epoch=epoch + 1, epochs=cfg.trainer.max_epochs, share=share)
        print(f"epoch {epoch + 1}/{cfg.trainer.max_epochs}  its own mAP50 {fact['map50']:.3f}", flush=True)
    folder.beat()
    best = max(rows, key=lambda row: float(row["own/map50_95"]))
    metric = DetectionMetric(data.classes)
    for detections, target in found(copies, splits["val"]):
        metric.add(detections, target)
    metrics = report_on(metric, splits["val"], folder.path)
    for made in ("images", "labels"):  # copies
        shutil.rmtree(copies / made)
    return {
        "metrics": metrics,
        "best_epoch": int(best["epoch"]),
        "epochs": cfg.trainer.max_epochs,
        "footprint": {
            "parameters": fact["parameters"],
            "macs": fact["flops"] // 2,
            "gflops": fact["flops"] / 1e9,
            "image_size": cfg.image_size,
        },
        "seconds": time.monotonic() - began,
        "classes": list(data.classes),
        "precision": f"Ultralytics {cfg.model.version}, torch {fact['torch']}",
        "own_evaluator": {"map50": fact["map50"], "map50_95": fact["map50_95"]},
    }


def driven(python: Path, request: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """The facts that the driver reports while it trains; its other output goes to rival.log."""
    with open(folder / "rival.log", "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            [python, "-u", DRIVER, json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=rival_environment(folder) | {"OMP_NUM_THREADS": str(request["threads"])},
            cwd=folder,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("@"):
                    yield json.loads(line[1:])
                else:
                    log.write(line)
            raise LightdetError(f"the rival ended with exit code {process.wait()}; see {log.name}")
        finally:
            process.kill()
            process.wait()


def found(folder: Path, records: list[Record]) -> list[tuple[Detections, Target]]:
    """The rival's detections with the ground truth, in original px."""
    measured: list[tuple[Detections, Target]] = []
    predictions = read_json(folder / "detections.json")
    for record, rows in zip(records, predictions["images"], strict=True):
        table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 6)
        table = table[table[:, 4].argsort(descending=True, stable=True)]
        height, width = original_size(record.path)
        detections = Detections(table[:, :4].float(), table[:, 4].float(), table[:, 5].long())
        target = Target(
            torch.from_numpy(record.boxes_xyxy),
            torch.from_numpy(record.labels),
            record.image_id,
            Letterbox(1.0, 1.0, 0.0, 0.0, height, width),
        )
        measured.append((detections, target))
    return measured
