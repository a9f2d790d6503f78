"""Studies made up for tests: the files that a sweep and its runs leave, without a training."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lightdet.config.names import slug
from lightdet.core.files import write_json, write_text
from lightdet.metric.bootstrap import MEANS, class_precisions, mean_precisions
from lightdet.metric.detections_file import write_detections
from lightdet.metric.match_record import ImageBoxes, match_records
from lightdet.runs.folder import RunFolder

CLASSES = ("dent", "scratch", "stain")
SPLITS = {"train": [f"train/{k}.png" for k in range(8)], "val": [f"val/{k}.png" for k in range(24)]}


def boxes(skill: float, seed: int = 0, images: int = 24, num_classes: int = 3) -> list[ImageBoxes]:
    """The same truth every time; detections nearer to it, and stray ones less certain, the greater the skill (0..1)."""
    fixed, random = np.random.default_rng(7), np.random.default_rng(seed)
    made = []
    for _ in range(images):
        corner, size = fixed.uniform(0, 140, (3, 2)), fixed.uniform(20, 60, (3, 2))
        labels = fixed.integers(0, num_classes, (3, 1)).astype(float)
        truth = np.concatenate([corner, corner + size, labels], axis=1)
        near = truth[:, :4] + random.normal(0, 1 + 12 * (1 - skill), (3, 4))
        far = random.uniform(0, 100, (4, 2))
        stray = np.concatenate([far, far + random.uniform(20, 60, (4, 2))], axis=1)
        scores = np.concatenate([random.uniform(0.3, 1, 3), random.uniform(0, 1 - 0.7 * skill, 4)])
        found = np.concatenate([labels, random.integers(0, num_classes, (4, 1))])
        detections = np.concatenate([np.concatenate([near, stray]), scores[:, None], found], axis=1)
        made.append(ImageBoxes(detections[np.argsort(-scores)].round(2), truth.round(2)))
    return made


def add_job(
    study: Path,
    choices: dict[str, str],
    seed: int = 0,
    state: str = "done",
    made: Sequence[ImageBoxes] | None = None,
    classes: Sequence[str] = CLASSES,
    keep_boxes: bool = True,
    reason: str = "",
    epochs: int = 6,
    asked: int = 6,
    parameters: int = 1_500_000,
    options: dict[str, Any] | None = None,
    splits: dict[str, list[str]] | None = None,
    pictures: int = 1,
    run: str | None = None,
) -> RunFolder:
    """One row with its run; `run` names the folder of an earlier one that answers it too."""
    overrides = [f"{key}={value}" for key, value in choices.items()] + [f"seed={seed}"]
    name = slug(overrides)
    number = len(list((study / "jobs").glob("*.json")))
    said = {"model": "proposed", "image_size": 224, **(options or {}), **choices, "seed": seed}
    job = {"overrides": overrides, "choices": said, "seed": seed, "number": number, "run": run or f"{name}/s{seed}"}
    write_json(study / "jobs" / f"{name}__s{seed}.json", job)
    folder = RunFolder(study / (run or f"{name}/s{seed}"))
    if run:
        return folder
    folder.write_status(state, seed=seed, **({"reason": reason} if reason else {}))
    if state == "queued":
        return folder
    write_text(folder.config_path, f"image_size: 224\ntrainer: {{max_epochs: {asked}}}\n")
    write_json(folder.path / "splits.json", splits or SPLITS)
    made = boxes(0.5, seed) if made is None else made
    records = match_records(made, len(classes))
    ones = np.ones((1, len(made)), np.int64)
    means, table = mean_precisions(records, ones)[0].tolist(), class_precisions(records, ones)[0]
    lines = ["epoch,train/loss,val/map50,val/map75,val/map50_95"]
    for epoch in range(epochs):
        share = 1 - math.exp(-4 * (epoch + 1) / asked)
        validated = ",".join(f"{share * value:.4f}" for value in means) if epoch % 2 else ",,"
        lines.append(f"{epoch},{2 - share:.4f},{validated}")
    write_text(folder.metrics_csv, "\n".join(lines) + "\n")
    if state != "done":
        return folder
    if keep_boxes:
        write_detections(folder.path / "detections.json", classes, (splits or SPLITS)["val"][: len(made)], made)
    folder.write_results(
        {
            "metrics": {
                **dict(zip(MEANS, means, strict=True)),
                "per_class": {
                    name: {
                        "ap50": values[0],
                        "ap75": values[5],
                        "ap50_95": values.mean(),
                        "truths": int(r.positives.sum()),
                    }
                    for name, values, r in zip(classes, table, records, strict=True)
                },
                "operating_point": {"threshold": 0.4, "escape_rate": 0.0, "overkill_rate": None},
            },
            "footprint": {"parameters": parameters, "macs": 207_000_000, "gflops": 0.414, "image_size": 224},
            "epochs": epochs,
            "best_epoch": epochs - 1,
            "classes": list(classes),
        }
    )
    draw_pictures(folder, pictures)
    return folder


def draw_pictures(folder: RunFolder, count: int) -> None:
    """Small stand-ins for the overview and the worst images."""
    folder.pictures.mkdir(parents=True, exist_ok=True)
    shade = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3) % 251
    for index in range(count):
        name = "overview.png" if not index else f"{index - 1:03d}-missed2-false1-a<b>photo.png"
        Image.fromarray(shade.astype(np.uint8)).save(folder.pictures / name)
