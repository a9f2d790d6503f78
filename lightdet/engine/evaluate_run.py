"""Evaluates a run folder again: with another split, another threshold, or data in another folder."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from lightdet.core.errors import LightdetError, demand_share
from lightdet.core.files import read_json, write_json
from lightdet.core.progress import watched
from lightdet.data.module import ImageData
from lightdet.engine.evaluate import evaluate
from lightdet.engine.load import load_run


def evaluate_run(
    run: Path,
    folder: Path,
    split: str = "val",
    threshold: float | None = None,
    checkpoint: str = "best",
    device: str = "cpu",
    overrides: Sequence[str] = (),
    trust_modules: bool = False,
) -> dict[str, Any]:
    """Measure a run on a split of its data, write metrics.json, curves and pictures to `folder`, return the metrics.

    `threshold`: least score for everything that counts boxes; None: the one with the best F1 on this split.
    `overrides` change the data and the model of the run's config; `trust_modules` as for `load_run`. Raises
    LightdetError for a folder that is no run, code that nobody has trusted, an unknown split or key, a threshold
    outside of 0..1, and data of other classes.
    """
    if threshold is not None:
        demand_share("threshold", threshold)
    loaded = load_run(run, checkpoint, device, overrides, trust_modules)
    data: ImageData = instantiate(loaded.config.data, _convert_="all")
    if tuple(data.classes) != tuple(loaded.classes):
        raise LightdetError(f"{run} was trained on {', '.join(loaded.classes)}; the data has {', '.join(data.classes)}")
    loader = data.loader(split)
    warn_of_trained_images(run, split, [record.image_id for record in data.records[split]])
    batches = watched(loader, len(loader), "batches")
    report = evaluate(loaded.model, batches, data.classes, data.records[split], folder, device, threshold)
    write_json(folder / "metrics.json", report)
    return report


def warn_of_trained_images(run: Path, split: str, image_ids: Sequence[str]) -> None:
    """Warn on stderr when a split now holds images that the run was trained on, as after files were added."""
    trained = set(read_json(run / "splits.json").get("train", ()))
    shared = sum(image_id in trained for image_id in image_ids)
    if split != "train" and shared:
        print(
            f"lightdet: {shared} of the {len(image_ids)} images in '{split}' have the names of images that this run "
            "was trained on: if they are the same ones, these numbers flatter it",
            file=sys.stderr,
        )
