"""Evaluates a model of any task on annotated images."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from lightdet.core.files import write_text
from lightdet.core.named import named
from lightdet.core.types import Batch
from lightdet.data.record import Record
from lightdet.metric.contract import Metric
from lightdet.metric.contributions import write_contributions
from lightdet.model.contract import Model
from lightdet.runs.folder import RunFolder

MAX_PICTURES = 24


@torch.inference_mode()
def run_model(model: Model, loader: Iterable[Batch], metric: Metric, device: torch.device | str = "cpu") -> None:
    """Updates the metric with the predictions for every image of the loader.

    The model, already on `device`, runs in eval mode and keeps its mode afterwards.
    """
    was_training = model.training
    model.eval()
    try:
        for batch in loader:
            metric.update(model.predict(batch.images_on(device)), batch.targets)
    finally:
        model.train(was_training)


def evaluate(
    model: Model,
    loader: Iterable[Batch],
    classes: Sequence[str],
    records: Sequence[Record],
    folder: Path | None,
    device: torch.device | str = "cpu",
    threshold: float | None = None,
    max_pictures: int = MAX_PICTURES,
) -> dict[str, Any]:
    """`report_on` the model's predictions for the images of the loader."""
    return report_on(measure(model, loader, classes, device), records, folder, threshold, max_pictures)


def measure(
    model: Model, loader: Iterable[Batch], classes: Sequence[str], device: torch.device | str = "cpu"
) -> Metric:
    """The model's metric, updated with the predictions for the images of the loader."""
    metric = model.metric(classes)
    run_model(model, loader, metric, device)
    return metric


def report_on(
    metric: Metric,
    records: Sequence[Record],
    folder: Path | None,
    threshold: float | None = None,
    max_pictures: int = MAX_PICTURES,
) -> dict[str, Any]:
    """The full report of a metric that has seen all images: `write_numbers`, then `draw`."""
    report = write_numbers(metric, records, folder, threshold)
    if folder is not None:
        draw(report, metric, records, folder, max_pictures)
    return report


def write_numbers(
    metric: Metric, records: Sequence[Record], folder: Path | None, threshold: float | None = None
) -> dict[str, Any]:
    """The full report of a metric that has seen all images, on disk in every form but pictures.

    threshold: least score for everything that is counted at an operating point; None: the best one on these images.
    folder: where metrics.txt, contributions.json and the task's files of numbers go; None: nothing is written.
    """
    report = metric.compute(full=True, threshold=threshold)
    if folder is not None:
        write_text(RunFolder(folder).metrics_txt, metric.text(report) + "\n")
        contributions = metric.contributions()
        if contributions is not None:
            write_contributions(Path(folder), contributions)
        if metric.files:
            named(metric.files)(Path(folder), report, metric, records)
    return report


def draw(
    report: dict[str, Any],
    metric: Metric,
    records: Sequence[Record],
    folder: Path,
    max_pictures: int = MAX_PICTURES,
) -> None:
    """Adds the curves and pictures of the task, whose images are read from `records`; a line for what is not drawn."""
    if metric.drawings:
        named(metric.drawings)(Path(folder), report, metric, records, max_pictures)
