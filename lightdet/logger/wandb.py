"""Weights & Biases. Its failures never end a training; docs/wandb.md lists what is logged, and the run folder holds the
same numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.data.image import read_image
from lightdet.logger.names import PICTURES, drawn, summary
from lightdet.logger.run_logger import RunLogger
from lightdet.logger.wandb_run import kill_service, open_run
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import scores_of

ROWS_PER_STEP = 4  # rows of W&B's history for one optimizer step, at most
FAILED = ("failed", "killed")


class WandbLogger(RunLogger):
    """One W&B run per run folder; its id depends on the study, the folder and the fingerprint, so a resumed run
    continues the same one. In a run that a W&B agent started, the agent's id wins.

    `mode`: auto, online, offline, disabled; auto follows WANDB_MODE, then goes online only with a key and a host that
    answers. `finish_seconds`: how long the end of a run may wait for the upload; the rest stays on disk for
    `wandb sync`.
    """

    title = "W&B"

    def __init__(
        self,
        folder: RunFolder,
        config: dict[str, Any],
        project: str = "lightdet",
        entity: str | None = None,
        mode: str = "auto",
        tags: list[str] | None = None,
        finish_seconds: float = 60.0,
    ) -> None:
        super().__init__(folder, config)
        self.project = project
        self.entity = entity
        self.mode = mode
        self.tags = tags or []
        self.finish_seconds = finish_seconds
        self.seconds = max(self.seconds, 2 * finish_seconds)
        self.run: Any = None
        self.row = -1
        self.guard(self._start)

    @property
    def version(self) -> str:
        """The run's id."""
        return str(self.identity["id"] if self.run is None else self.run.id)

    def write_row(self, values: dict[str, float], step: int) -> None:
        """Logs a row of the history; its x axis in W&B is `epoch`."""
        if self.run is not None:
            self._log(values, step)

    def write_results(self, results: dict[str, Any]) -> None:
        """Logs summary, curves and pictures; a failure of one does not prevent the others."""
        if self.run is not None:
            self.guard(lambda: self.run.summary.update(summary(results, scores_of(self.folder))))
            self.guard(lambda: self._log(curves(results), 0))
            self.guard(lambda: self._log(pictures(results, self.folder), 0))

    def close(self, state: str) -> None:
        """Ends the run, waiting at most `finish_seconds` for the upload."""
        run, self.run = self.run, None
        if run is not None:
            run.finish(exit_code=int(state in FAILED))

    def abandon(self) -> None:
        """Kills W&B's service process, which has stopped answering."""
        kill_service()

    def _start(self) -> None:
        path = str(self.folder.path)
        arguments = {
            **{key: self.identity[key] for key in ("id", "name", "group")},
            "project": self.project,
            "entity": self.entity,
            "job_type": "train",
            "dir": path,
            "config": {**self.identity["choices"], "config": self.config, "run_folder": path},
            "tags": [*self.identity["tags"], *self.tags],
        }
        self.run = open_run(self.mode, arguments, self.finish_seconds)
        if self.run is not None:
            self.run.define_metric("epoch", hidden=True)
            self.run.define_metric("*", step_metric="epoch")

    def _log(self, values: dict[str, Any], step: int) -> None:
        """Logs a row. W&B drops rows whose number does not exceed the last one; derived from the optimizer step, a row
        that a resumed run repeats has its old number, so it is dropped or equal, and no other row is lost."""
        if values:
            self.row = max(self.row + 1, ROWS_PER_STEP * step)
            self.run.log(values, step=self.row, commit=True)


def curves(results: dict[str, Any]) -> dict[str, Any]:
    """Precision over recall, a line per class, as a W&B chart."""
    import wandb

    lines = results.get("metrics", {}).get("curves", {})
    if not lines:
        return {}
    chart = wandb.plot.line_series(
        xs=[line["recall"] for line in lines.values()],
        ys=[line["precision"] for line in lines.values()],
        keys=list(lines),
        title="precision over recall",
        xname="recall",
    )
    return {"curves/precision_recall": chart}


def pictures(results: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Images with two layers of boxes, and the pictures that the evaluation drew.

    `results["metrics"]["samples"]`: dicts of image_id, path, bits, boxes [[x1, y1, x2, y2, score, label]] and truth
    [[x1, y1, x2, y2, label]], original px; worst first.
    """
    import wandb

    classes = dict(enumerate(results.get("classes") or results.get("metrics", {}).get("per_class", {})))
    samples = results.get("metrics", {}).get("samples", [])[:PICTURES]
    samples = [sample for sample in samples if Path(sample["path"]).is_file()]
    logged: dict[str, Any] = {}
    if samples:
        images = of_one_size([read_image(Path(sample["path"]), sample.get("bits")) for sample in samples])
        logged["predictions"] = [boxed(sample, image, classes) for sample, image in zip(samples, images, strict=True)]
    for name, paths in drawn(folder).items():
        pages = of_one_size([read_image(path) for path in paths])
        shown = [wandb.Image(page, caption=path.stem) for page, path in zip(pages, paths, strict=True)]
        logged[name] = shown if name == "pictures" else shown[0]
    return logged


def of_one_size(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The pictures (H, W, 3) uint8, padded with white to the right and below up to the largest: W&B lays out a list of
    pictures by the size of its first."""
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    return [
        np.pad(one, ((0, height - one.shape[0]), (0, width - one.shape[1]), (0, 0)), constant_values=255)
        for one in pictures
    ]


def boxed(sample: dict[str, Any], image: np.ndarray, classes: dict[int, str]) -> Any:
    """An image (H, W, 3) as wandb.Image with two layers of boxes: predictions with their scores, and ground truth."""
    import wandb

    def layer(rows: list[list[float]]) -> dict[str, Any]:
        boxes = []
        for left, top, right, bottom, *score, label in rows:
            box: dict[str, Any] = {
                "position": {"minX": left, "minY": top, "maxX": right, "maxY": bottom},
                "domain": "pixel",
                "class_id": int(label),
                "box_caption": classes.get(int(label), str(int(label))) + "".join(f" {value:.2f}" for value in score),
            }
            boxes.append({**box, "scores": {"score": score[0]}} if score else box)
        return {"box_data": boxes, "class_labels": classes}

    layers = {"predictions": layer(sample["boxes"]), "ground_truth": layer(sample["truth"])}
    return wandb.Image(image, boxes=layers, caption=sample["image_id"], file_type="jpg")
