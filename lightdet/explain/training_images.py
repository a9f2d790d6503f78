"""The training images of a run, embedded by its model."""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.progress import watched
from lightdet.core.shown import shown
from lightdet.core.types import Letterbox
from lightdet.data.record import Record, read_pixels
from lightdet.engine.predictor import Predictor
from lightdet.engine.run_data import data_of
from lightdet.explain.embedding import box_vectors, compares_boxes, image_vectors
from lightdet.explain.embedding_cache import Arrays, cache_file, cached
from lightdet.explain.nearest import Item, TrainingImages, chosen_items, usual_distances
from lightdet.ops.frames import boxes_to_input
from lightdet.ops.letterbox import letterbox_image

BATCH = 16  # images that are embedded at once


def training_images(predictor: Predictor, config: DictConfig, weights: Path) -> TrainingImages:
    """The training images of a run's data, or their boxes for a detector, with their vectors: from the cache, or
    computed once. `config` is the run's, `weights` the checkpoint of the predictor.

    An image that cannot be read is left out and named on stderr. Raises LightdetError, one line, where the training
    data is not on this machine, as for a package.
    """
    data = data_of(config, predictor.classes)
    items, total = chosen_items(data.records["train"], compares_boxes(predictor.model))
    if not items:
        raise LightdetError("the training images have no boxes to compare with")
    settings = predictor.image_size, predictor.channels, predictor.bits
    path = cache_file(weights, items, settings)
    arrays = cached(path, len(items), _width(predictor), lambda: _computed(predictor, items))
    used = [items[index] for index in arrays["used"].tolist()]
    if not used:
        raise LightdetError("none of the training images can be read")
    return TrainingImages(used, arrays["vectors"], arrays["usual"], total)


def _width(predictor: Predictor) -> int:
    """Of the model's vectors."""
    blank, _ = letterbox_image(np.zeros((32, 32, predictor.channels), np.uint8), predictor.image_size)
    box = torch.tensor([[0.0, 0.0, 32.0, 32.0]]) if compares_boxes(predictor.model) else None
    return int(_vectors(predictor, torch.from_numpy(blank).permute(2, 0, 1)[None], [box]).shape[1])


def _computed(predictor: Predictor, items: Sequence[Item]) -> Arrays:
    used: list[int] = []
    vectors: list[np.ndarray] = []
    owned = [list(group) for _, group in groupby(range(len(items)), key=lambda index: items[index].record.image_id)]
    for batch in _batches(watched(owned, len(owned), "training images")):
        images, boxes, kept = [], [], []
        for indices in batch:
            record = items[indices[0]].record
            try:
                image, placed = _placed(predictor, record)
            except LightdetError as error:
                print(f"lightdet: not compared with: {shown(str(error))}", file=sys.stderr)
                continue
            images.append(image)
            corners = [items[index].box_xyxy for index in indices]
            boxes.append(boxes_to_input(torch.tensor(corners), placed) if corners[0] is not None else None)
            kept += indices
        if images:
            vectors.append(_vectors(predictor, torch.stack(images), boxes))
            used += kept
    found = np.concatenate(vectors) if vectors else np.zeros((0, 1), np.float32)
    return {
        "used": np.array(used, np.int64),
        "vectors": found,
        "usual": usual_distances(found, [items[index] for index in used]),
    }


def _placed(predictor: Predictor, record: Record) -> tuple[Tensor, Letterbox]:
    image, placed = letterbox_image(read_pixels(record, predictor.channels), predictor.image_size)
    return torch.from_numpy(image).permute(2, 0, 1), placed


def _vectors(predictor: Predictor, images: Tensor, boxes: Sequence[Tensor | None]) -> np.ndarray:
    batch = images.to(predictor.device).float() / 255
    regions = [each for each in boxes if each is not None]
    found = box_vectors(predictor.model, batch, regions) if regions else image_vectors(predictor.model, batch)
    return found.cpu().numpy()


def _batches(groups: Iterator[list[int]]) -> Iterator[list[list[int]]]:
    batch: list[list[int]] = []
    for group in groups:
        batch.append(group)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
