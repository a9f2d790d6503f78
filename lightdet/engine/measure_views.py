"""Measures a model with the views that are asked for, and what they give and cost beside the same model without."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from lightdet.core.progress import watched
from lightdet.core.types import Target
from lightdet.data.module import ImageData
from lightdet.data.record import Record, read_pixels
from lightdet.engine.tiled import detect_in_tiles, unscaled
from lightdet.metric.contract import Metric
from lightdet.model.contract import Model
from lightdet.model.flipped import flipped
from lightdet.ops.tiles import Tiles
from lightdet.runs.views import Views


@dataclass(slots=True)
class Shown:
    """A model with its views: the metric of what it predicts, and the seconds that took."""

    views: Views
    model: Model
    metric: Metric
    seconds: float = 0.0


def measure_views(
    model: Model,
    data: ImageData,
    split: str,
    classes: Sequence[str],
    views: Views,
    device: str,
    compare: bool = False,
) -> list[Shown]:
    """The model's metric on a split of the data, images shown as `views` say; with `compare` also without the flips,
    or, where there are none, without tiles: in turns, image by image, so that both times are of the same machine.

    `model` is on `device` and in eval mode.
    """
    wanted = [views]
    if compare and views != Views():
        wanted.append(replace(views, flips=()) if views.flips else Views())
    shown = [Shown(each, flipped(model, each.flips), model.metric(classes)) for each in wanted]
    with torch.inference_mode():
        if views.tiles is None:
            _by_batches(shown, data, split, device)
        else:
            _by_images(shown, data, split, device)
    return shown


def _by_batches(shown: Sequence[Shown], data: ImageData, split: str, device: str) -> None:
    loader = data.loader(split)
    for batch in watched(loader, len(loader), "batches"):
        images = batch.images_on(device)
        for each in shown:
            begin = perf_counter()
            predictions = each.model.predict(images)
            each.seconds += perf_counter() - begin
            each.metric.update(predictions, batch.targets)


def _by_images(shown: Sequence[Shown], data: ImageData, split: str, device: str) -> None:
    for record, pixels in _pixels(data, split):
        height, width = pixels.shape[:2]
        whole = Tiles(height, width, 0, 0)
        target = _target(record, pixels)
        for each in shown:
            begin = perf_counter()
            tiles = each.views.tiles or whole
            found = detect_in_tiles(each.model, pixels, tiles, data.image_size, device, record.image_id)
            each.seconds += perf_counter() - begin
            each.metric.update([found], [target])


def _pixels(data: ImageData, split: str) -> Iterator[tuple[Record, np.ndarray]]:
    records = data.records[split]
    for record in watched(records, len(records), "images"):
        yield record, read_pixels(record, data.channels)


def _target(record: Record, pixels: np.ndarray) -> Target:
    """The ground truth of an image that is not scaled."""
    boxes = record.boxes
    crowd = (np.zeros((0, 4)), np.zeros(0)) if boxes is None else (boxes.crowd_xyxy, boxes.crowd_labels)
    return Target(
        torch.tensor(record.boxes_xyxy, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(record.box_labels, dtype=torch.int64),
        record.image_id,
        unscaled(pixels),
        record.domain,
        crowd_xyxy=torch.tensor(crowd[0], dtype=torch.float32).reshape(-1, 4),
        crowd_labels=torch.tensor(crowd[1], dtype=torch.int64),
    )


def compared(shown: Sequence[Shown], report: dict[str, Any], images: int) -> dict[str, Any]:
    """What the views of the first give beside those of the second, and what they cost: JSON-ready."""
    other = shown[1].metric.compute(full=False)
    scores = {
        score.title: {"with": report[score.key], "without": other[score.key]}
        for score in shown[0].metric.scores
        if not score.per_class and all(isinstance(each.get(score.key), float) for each in (report, other))
    }
    seconds = [each.seconds / max(1, images) for each in shown]
    return {
        "with": str(shown[0].views),
        "without": str(shown[1].views),
        "scores": scores,
        "seconds_per_image": {"with": seconds[0], "without": seconds[1]},
    }


def compared_text(found: Mapping[str, Any]) -> str:
    """The same in lines of text."""
    seconds = found["seconds_per_image"]
    lines = [f"views      {found['with']}; beside it {found['without']}"]
    for title, values in found["scores"].items():
        gain = 100 * (values["with"] - values["without"])
        lines.append(f"{title:<10} {values['with']:.4f}, beside it {values['without']:.4f} ({gain:+.2f} points)")
    ratio = seconds["with"] / max(seconds["without"], 1e-9)
    lines.append(
        f"time       {1000 * seconds['with']:.1f} ms an image, beside it {1000 * seconds['without']:.1f}: {ratio:.2f} x"
    )
    return "\n".join(lines)
