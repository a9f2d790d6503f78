"""The checks that every exported file passes before it may be used: it must be the model that was trained.

(a) the network on equal tensors, (b) the whole file against `predict` on image files of odd sizes and kinds, (c) other
numbers of images and, where the file's size is open, other sizes, (d) the scores on the validation images, overall and
of each class.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightdet.benchmark.machine import machine_facts
from lightdet.core.errors import LightdetError
from lightdet.core.progress import watched
from lightdet.data.image import read_image
from lightdet.data.module import ImageData
from lightdet.data.record import Record
from lightdet.engine.evaluate import measure
from lightdet.engine.load import LoadedRun
from lightdet.engine.predictor import Predictor
from lightdet.export.odd_images import odd_images
from lightdet.export.parity import MOST_PIXELS, MOST_SCORE, Distance
from lightdet.export.verdict import Check, Verdict
from lightdet.metric.contract import Metric
from lightdet.model.detector import DenseDetector
from lightdet.model.exported import through_file
from lightdet.model.folded import folded
from lightdet.ops.grid import COARSEST, height_width
from lightdet.runtime.session import Exported

ALLOWED = f"{MOST_PIXELS:g} px, {MOST_SCORE:g} of score, no box lost or extra"
LOOKED_AT, ODD_IMAGES = 96, 24  # images of the split from which those are chosen that are compared
TENSORS = 8


@dataclass(frozen=True, slots=True)
class Budget:
    """Points of a score (0.01) that a file may lose: overall, and of the class that loses most."""

    overall: float = 0.3
    worst_class: float = 2.0


def judge(
    file: Exported, loaded: LoadedRun, data: ImageData, split: str, form: str, budget: Budget, open_size: bool
) -> Verdict:
    """All checks of the file against the run's model and the images of a split. Raises LightdetError where the data is
    not to be had."""
    model = folded(loaded.model, loaded.image_size)
    threshold = min(file.contract.thresholds, default=0.0)
    overlap = file.contract.content["output"].get("overlap", 0.5)
    predictor = Predictor(model, loaded.classes, loaded.image_size, threshold, overlap, file.contract.bits, "cpu")
    telling = _telling(predictor, data.records[split])
    checks = [_equal_tensors(file, predictor, telling), _odd_files(file, predictor, telling)]
    checks.append(_other_shapes(file, predictor, open_size))
    if all(check.passed for check in checks):
        checks += _scores(file, loaded, data, split, budget)
    return Verdict(file.path.name, form, checks, machine_facts())


def _telling(predictor: Predictor, records: Sequence[Record]) -> list[Record]:
    """Images from all over the split, those first in which the model predicts classes that are rare so far: without a
    box above its threshold two detectors agree whatever they are."""
    places = np.linspace(0, len(records) - 1, min(len(records), LOOKED_AT)).astype(int).tolist()
    left = {place: predictor(records[place].path)[0].names for place in places}
    count = Counter[str]()
    chosen: list[Record] = []
    while left and len(chosen) < ODD_IMAGES:
        best = max(left, key=lambda place: sum(1 / (1 + count[name]) for name in set(left[place])))
        count.update(left.pop(best))
        chosen.append(records[best])
    return chosen


def _equal_tensors(file: Exported, predictor: Predictor, records: Sequence[Record]) -> Check:
    """(a): raw outputs for the same placed images, and for noise of all colours, one image at a time."""
    placed = [file.place(read_image(record.path, record.bits))[0] for record in records[:TENSORS]]
    height, width = height_width(predictor.image_size)
    noise = np.random.default_rng(0).integers(0, 256, (2, height, width, file.contract.channels), dtype=np.uint8)
    largest = max(
        _raw_difference(predictor, image[None], file.run_outputs(image[None], file.raw_outputs))
        for image in [*placed, *noise]
    )
    return Check(
        "network, equal tensors",
        largest <= MOST_SCORE,
        f"{len(placed)} images and {len(noise)} of noise: {largest:.2g} of score",
        f"{MOST_SCORE:g} of score",
        "" if largest <= MOST_SCORE else "the network, its colours or its decoding",
        {"largest_score": largest},
    )


def _odd_files(file: Exported, predictor: Predictor, records: Sequence[Record]) -> Check:
    """(b): the file alone, from image files."""
    distance = Distance(file.contract.thresholds)
    with tempfile.TemporaryDirectory() as folder:
        for path in odd_images(records, Path(folder), ODD_IMAGES):
            (expected,), (found,) = predictor(path), file(path)
            distance.add(path.name, expected.to_dict(), found.to_dict())
    return _check("file, odd images", distance, "the placing of images, colours, bits, thresholds or the selection")


def _other_shapes(file: Exported, predictor: Predictor, open_size: bool) -> Check:
    """(c): batches that were not traced give what single images give; other sizes give what the model gives."""
    generator = np.random.default_rng(0)
    height, width = height_width(predictor.image_size)
    sizes = [(height, width), *([(height + COARSEST, width), (height, width + 2 * COARSEST)] if open_size else [])]
    largest, tried = 0.0, []
    for size in sizes:
        for batch in (1,) if file.contract.one_image else (1, 3, 5):
            images = generator.integers(0, 256, (batch, *size, file.contract.channels), dtype=np.uint8)
            tried.append(f"{batch} x {size[0]} x {size[1]}")
            try:
                found = file.run_outputs(images, file.raw_outputs)
            except LightdetError as error:
                reason = " ".join(str(error).split())[:160]
                return Check(
                    "other batches and sizes", False, f"{tried[-1]}: {reason}", "any number of images", "a frozen axis"
                )
            largest = max(largest, _raw_difference(predictor, images, found))
    return Check(
        "other batches and sizes",
        largest <= MOST_SCORE,
        f"{len(tried)} shapes up to {tried[-1]}: {largest:.2g} of score",
        f"{MOST_SCORE:g} of score",
        "" if largest <= MOST_SCORE else "an axis of the graph",
        {"largest_score": largest, "shapes": tried},
    )


@torch.inference_mode()
def _raw_difference(predictor: Predictor, images: np.ndarray, found: Sequence[np.ndarray]) -> float:
    """The largest difference of a score or probability between the model and the file's raw output."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    model = predictor.model
    if isinstance(model, DenseDetector):
        expected = model.scored_boxes(pixels)[1].sort(dim=1).values
        given = torch.from_numpy(found[1]).sort(dim=1).values  # two-stage detectors rank equal regions otherwise
    else:
        expected, given = model.network(pixels).float().softmax(dim=1), torch.from_numpy(found[0]).softmax(dim=1)
    if expected.shape != given.shape:
        return float("inf")
    difference = float((expected - given).abs().max())
    return difference if difference == difference else float("inf")


def _scores(file: Exported, loaded: LoadedRun, data: ImageData, split: str, budget: Budget) -> list[Check]:
    """(d): the primary score on the split, of all images and of each class."""
    twin = through_file(loaded.model, file.run_outputs, file.contract.channels, file.contract.one_image)
    metrics: list[Metric] = []
    for model, word in ((loaded.model, "model"), (twin, "file")):
        loader = data.loader(split)
        metrics.append(measure(model, watched(loader, len(loader), f"batches, {word}"), data.classes))
    primary = next(score for score in metrics[0].scores if score.primary)
    expected, found = (metric.compute(full=False) for metric in metrics)
    lost = 100 * ((expected[primary.key] or 0.0) - (found[primary.key] or 0.0))
    checks = [
        Check(
            f"{primary.title}, {split}",
            lost <= budget.overall,
            f"{found[primary.key]:.4f}, model {expected[primary.key]:.4f}",
            f"{budget.overall:g} points lost",
            "",
            {"file": found[primary.key], "model": expected[primary.key], "images": len(data.records[split])},
        )
    ]
    worst = _worst_class(expected.get("per_class") or {}, found.get("per_class") or {})
    if worst is not None:
        name, key, points = worst
        checks.append(
            Check(
                f"worst class, {split}",
                points <= budget.worst_class,
                f"{points:.2f} points of {key} lost by {name}",
                f"{budget.worst_class:g} points lost",
                name,
                {"class": name, "score": key, "points": points},
            )
        )
    return checks


def _worst_class(
    expected: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str, float] | None:
    """The class that loses most: its name, the key of the score and the points (0.01)."""
    lost = [
        (name, key, 100 * (value - (found[name].get(key) or 0.0)))
        for name, numbers in expected.items()
        for key, value in numbers.items()
        if isinstance(value, float)
    ]
    return max(lost, key=lambda each: each[2], default=None)


def _check(name: str, distance: Distance, stage: str) -> Check:
    classes = f"; classes {', '.join(sorted(distance.classes))}" if distance.classes else ""
    where = "" if distance.passed else f"{stage}; first in {distance.worst}{classes}"
    return Check(name, distance.passed, distance.text(), ALLOWED, where, distance.numbers())
