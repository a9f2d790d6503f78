"""Measuring a run folder again: another split, another threshold, data that has moved."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.utils import instantiate

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.core.progress import watched
from lightdet.data.module import ImageData
from lightdet.engine.evaluate import evaluate
from lightdet.engine.load import load_detector
from lightdet.metric.detection_text import metrics_text


def evaluate_run(run: Path, settings: Mapping[str, str], overrides: Sequence[str]) -> int:
    """Measure, print the table, and write metrics.json, curves and pictures; 0 when done.

    `settings`: split, threshold, checkpoint, device and out, as text. `overrides` change the data and the model of the
    run's config.
    Raises LightdetError for a folder that is no run, an unknown split or key, and data of other classes.
    """
    split = settings.get("split", "val")
    threshold = _threshold(settings.get("threshold"))
    device = settings.get("device", "cpu")
    loaded = load_detector(run, settings.get("checkpoint", "best"), device, overrides)
    data: ImageData = instantiate(loaded.config.data, _convert_="all")
    if tuple(data.classes) != tuple(loaded.classes):
        raise LightdetError(f"{run} was trained on {', '.join(loaded.classes)}; the data has {', '.join(data.classes)}")
    loader = data.loader(split)
    warn_of_trained_images(run, split, [record.image_id for record in data.records[split]])
    folder = Path(settings.get("out") or run / f"evaluate-{split}")
    batches = watched(loader, len(loader), "batches")
    report = evaluate(loaded.detector, batches, data.classes, data.records[split], folder, device, threshold)
    write_json(folder / "metrics.json", report)
    print(metrics_text(report))
    print(f"written to {folder}")
    return 0


def warn_of_trained_images(run: Path, split: str, image_ids: Sequence[str]) -> None:
    """Say on stderr when a split now holds images that the run was trained on, as after files were added."""
    trained = set(read_json(run / "splits.json").get("train", ()))
    shared = sum(image_id in trained for image_id in image_ids)
    if split != "train" and shared:
        print(
            f"lightdet: {shared} of the {len(image_ids)} images in '{split}' have the names of images that this run "
            "was trained on: if they are the same ones, these numbers flatter it",
            file=sys.stderr,
        )


def _threshold(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise LightdetError(f"threshold={text}: give a number from 0 to 1")
    return number
