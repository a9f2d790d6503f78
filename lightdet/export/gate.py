"""The checks that every exported file passes before it may be used: it must be the model that was trained.

(a) the network on equal tensors, (b) the whole file against `predict` on image files of odd sizes and kinds, (c) other
numbers of images and, where the file's size is open, other sizes, (d) the scores on the validation images, overall and
of each class.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from lightdet.benchmark.machine import machine_facts
from lightdet.core.errors import LightdetError
from lightdet.data.image import read_image
from lightdet.data.record import Record
from lightdet.engine.predictor import Predictor
from lightdet.export.budget import Budget
from lightdet.export.lost import compare, suspects
from lightdet.export.odd_images import odd_images
from lightdet.export.parity import Distance
from lightdet.export.source import Source
from lightdet.export.verdict import Check, Verdict
from lightdet.model.classifier import ImageClassifier
from lightdet.model.detector import DenseDetector
from lightdet.model.exported import through_file
from lightdet.ops.grid import COARSEST, height_width
from lightdet.runtime.session import Exported

LOOKED_AT, ODD_IMAGES = 96, 24  # images of the split from which those are chosen that are compared
TENSORS = 8


class Gate:
    """Judges files of one run; what is of the run is computed once for all of them. Raises LightdetError where its
    images are not to be had."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.records = source.data.records[source.split]
        loaded, selection = source.loaded, source.selection
        least = min(source.thresholds, default=0.0)
        overlap = 0.5 if selection is None else selection.overlap
        bits = OmegaConf.select(loaded.config, "data.bits")
        self.predictor = Predictor(
            source.model, loaded.classes, loaded.image_size, least, 1.0 if overlap is None else overlap, bits, "cpu"
        )

    @cached_property
    def telling(self) -> list[Record]:
        """The images on which the file is compared box by box."""
        return _telling(self.predictor, self.records)

    def judge(self, file: Exported, form: str, budget: Budget) -> Verdict:
        """All checks of the file. `form`: its format and precision, in words."""
        checks = [
            _equal_tensors(file, self.predictor, self.telling, budget),
            _odd_files(file, self.predictor, self.telling, budget),
            _other_shapes(file, self.predictor, self.telling, self.source.open_size, budget),
        ]
        if all(check.passed for check in checks):
            checks += self._scores(file, budget)
        if layers := suspects(file.contract.content.get("precision")):
            checks = [check if check.passed else check.with_cause(layers) for check in checks]
        return Verdict(file.path.name, form, checks, machine_facts())

    def _scores(self, file: Exported, budget: Budget) -> list[Check]:
        """(d): the primary score on the split, of all images and of each class."""
        twin = through_file(self.source.loaded.model, file.run_outputs, file.contract.channels, file.contract.one_image)
        source = self.source
        return compare(source.scores, source.measured(twin, "file"), source.split, len(self.records), budget)


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


def _equal_tensors(file: Exported, predictor: Predictor, records: Sequence[Record], budget: Budget) -> Check:
    """(a): raw outputs for the same placed images, and for noise of all colours, one image at a time."""
    placed = [file.place(read_image(record.path, record.bits))[0] for record in records[:TENSORS]]
    height, width = height_width(predictor.image_size)
    count = 2 if budget.noise else 0
    noise = np.random.default_rng(0).integers(0, 256, (count, height, width, file.contract.channels), dtype=np.uint8)
    largest = max(
        _raw_difference(predictor, image[None], file.run_outputs(image[None], file.raw_outputs))
        for image in [*placed, *noise]
    )
    return Check(
        "network, equal tensors",
        largest <= budget.score,
        f"{len(placed)} images and {len(noise)} of noise: {largest:.2g} of score",
        f"{budget.score:g} of score",
        "" if largest <= budget.score else "the network, its colours or its decoding",
        {"largest_score": largest},
    )


def _odd_files(file: Exported, predictor: Predictor, records: Sequence[Record], budget: Budget) -> Check:
    """(b): the file alone, from image files."""
    distance = Distance(file.contract.thresholds, budget)
    file.contract = replace(file.contract, promise=None)  # it may hold for tiles; here images are compared as a whole
    with tempfile.TemporaryDirectory() as folder:
        for path in odd_images(records, Path(folder), ODD_IMAGES):
            (expected,), (found,) = predictor(path), file(path)
            distance.add(path.name, expected.to_dict(), found.to_dict())
    return _check("file, odd images", distance, "the placing of images, colours, bits, thresholds or the selection")


def _other_shapes(
    file: Exported, predictor: Predictor, records: Sequence[Record], open_size: bool, budget: Budget
) -> Check:
    """(c): batches and sizes that were not traced give what the model gives; images are repeated to fill them."""
    placed = np.stack([file.place(read_image(record.path, record.bits))[0] for record in records[:TENSORS]])
    height, width = height_width(predictor.image_size)
    sizes = [(height, width), *([(height + COARSEST, width), (height, width + 2 * COARSEST)] if open_size else [])]
    largest, tried = 0.0, []
    for size in sizes:
        for batch in (1,) if file.contract.one_image else (1, 3, 5):
            images = np.resize(placed, (batch, *placed.shape[1:]))
            missing = (
                (0, 0),
                *((0, max(0, side - given)) for side, given in zip(size, images.shape[1:3], strict=True)),
            )
            images = np.pad(images, (*missing, (0, 0)), mode="wrap")
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
        largest <= budget.score,
        f"{len(tried)} shapes up to {tried[-1]}: {largest:.2g} of score",
        f"{budget.score:g} of score",
        "" if largest <= budget.score else "an axis of the graph",
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
        assert isinstance(model, ImageClassifier)
        logits = model.network(pixels).float(), torch.from_numpy(found[0])
        expected, given = (model.probabilities(each) for each in logits)
    if expected.shape != given.shape:
        return float("inf")
    difference = float((expected - given).abs().max())
    return difference if difference == difference else float("inf")


def _check(name: str, distance: Distance, stage: str) -> Check:
    classes = f"; classes {', '.join(sorted(distance.classes))}" if distance.classes else ""
    where = "" if distance.passed else f"{stage}; first in {distance.worst}{classes}"
    return Check(name, distance.passed, distance.text(), distance.budget.text(), where, distance.numbers())
