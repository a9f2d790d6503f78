"""The doctor of datasets: looks at everything before hours of training are spent on it.

Exit codes: 0 nothing to complain about (notes at most), 1 warnings: training works, but look first, 2 errors: training
would refuse this dataset or break in the middle.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

from lightdet.core.errors import LightdetError
from lightdet.data.image import is_deep, original_size, read_values
from lightdet.data.labels import DatasetError
from lightdet.data.record import Reader, Record, doubts_of, with_bits
from lightdet.doctor.checks import (
    Finding,
    ImageFacts,
    InputBoxes,
    Splits,
    check_anchors,
    check_bits,
    check_boxes,
    check_classes,
    check_images,
    check_sizes,
    check_splits,
    look_at_images,
)
from lightdet.ops.anchors import DEFAULT_ANCHORS, reachable
from lightdet.ops.grid import check_image_size

QUICK_SAMPLE = 500  # images whose headers the quick check opens
QUICK_DECODED = 32  # of those with more than 8 bits per channel


@dataclass(frozen=True, slots=True)
class Examination:
    """All that a doctor found out about a dataset."""

    classes: tuple[str, ...]
    image_size: int  # px
    splits: Splits
    findings: tuple[Finding, ...]
    boxes: InputBoxes  # of all readable images
    anchors: np.ndarray  # (A, 2) px, input frame
    recall: float  # share of training boxes that an anchor can reach
    recall_per_class: Mapping[str, float]

    @property
    def exit_code(self) -> int:
        levels = {finding.level for finding in self.findings}
        return 2 if "error" in levels else 1 if "warning" in levels else 0


def examine(
    reader: Reader, image_size: int, anchors: Sequence[Any] | np.ndarray | None = None, bits: int | None = None
) -> Examination:
    """Read and decode everything once, with `bits` as training does.

    `anchors`: width and height in px of the input frame, in any nesting; None: those that training starts from.
    Raises LightdetError when labels cannot be read at all.
    """
    splits = with_bits(reader.read(), bits)
    classes = reader.classes
    facts = look_at_images(splits)
    everything = [record for records in splits.values() for record in records]
    boxes = InputBoxes.of(everything, _sizes_of(facts), image_size)
    findings = [Finding("warning", "labels", doubt) for doubt in doubts_of(reader)]
    findings += check_splits(splits) + check_classes(splits, classes) + check_images(splits, facts)
    brightest = {path: fact.brightest for path, fact in facts.items() if fact.brightest is not None}
    findings += check_bits(everything, brightest)
    findings += check_boxes(splits, classes) + check_sizes(boxes, classes, image_size)
    trained_on = InputBoxes.of(splits.get("train", ()), _sizes_of(facts), image_size)
    anchors_wh = np.asarray(DEFAULT_ANCHORS if anchors is None else anchors, dtype=np.float64).reshape(-1, 2)
    fits = reachable(trained_on.sizes, anchors_wh)
    recall = float(fits.mean()) if len(fits) else 1.0
    per_class = {classes[k]: float(fits[trained_on.labels == k].mean()) for k in np.unique(trained_on.labels)}
    findings += check_anchors(recall, per_class)
    order = ("error", "warning", "note")
    return Examination(
        classes,
        image_size,
        splits,
        tuple(sorted(findings, key=lambda finding: order.index(finding.level))),
        boxes,
        anchors_wh,
        recall,
        per_class,
    )


def quick_check(records_by_split: Splits, classes: Sequence[str], image_size: int) -> list[str]:
    """What is certain before a training from a few hundred headers; a few images of more than 8 bits are decoded.

    Returns warnings, one line each. Raises LightdetError for a dataset that cannot be trained on: an empty training or
    validation split, or one without boxes, and for an image that cannot be read.
    """
    findings = check_splits(records_by_split)
    errors = [finding.message for finding in findings if finding.level == "error"]
    if errors:
        raise LightdetError(f"dataset: {errors[0]}")
    findings += check_classes(records_by_split, classes)
    train = records_by_split["train"]
    sample = [record for record in train[:: -(-len(train) // QUICK_SAMPLE)] if len(record.labels)]
    sizes = {record.path: original_size(record.path) for record in sample}
    findings += check_sizes(InputBoxes.of(sample, sizes, image_size), classes, image_size)
    everything = [record for records in records_by_split.values() for record in records]
    findings += check_bits(everything, _brightest(everything[:: -(-len(everything) // QUICK_SAMPLE)]))
    return [f"{finding.topic}: {finding.message}" for finding in findings if finding.level == "warning"]


def _brightest(sample: Sequence[Record]) -> dict[Path, int]:
    """The greatest value of some of the images with more than 8 bits per channel."""
    deep = [record.path for record in sample if is_deep(record.path)]
    some = deep[:: max(1, -(-len(deep) // QUICK_DECODED))]
    with ThreadPoolExecutor() as pool:
        return dict(zip(some, pool.map(lambda path: int(read_values(path).max()), some), strict=True))


def run_doctor(cfg: DictConfig, as_json: bool = False) -> int:
    """Examine the data of a composed configuration: the report printed, and written with a picture.

    It goes to `<runs_dir>/doctor/<dataset>/`; nothing is written when labels cannot be read. Returns the exit code.
    """
    from lightdet.doctor.report import print_problems, print_report, write_report

    try:
        check_image_size(cfg.image_size)
        examination = examine(_make_reader(cfg), cfg.image_size, bits=cfg.data.get("bits"))
    except DatasetError as error:
        return print_problems(error.problems, as_json)
    except LightdetError as error:
        return print_problems((str(error),), as_json)
    folder = write_report(examination, Path(cfg.runs_dir) / "doctor" / _dataset_name(cfg), _dataset_name(cfg))
    print_report(examination, folder, as_json)
    return examination.exit_code


def _make_reader(cfg: DictConfig) -> Reader:
    """Hydra wraps what a constructor raises; the LightdetError inside is what a person should read."""
    try:
        reader: Reader = instantiate(cfg.data.reader)
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, LightdetError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from error
        raise
    return reader


def _dataset_name(cfg: DictConfig) -> str:
    kind = str(cfg.data.reader._target_).rpartition(".")[2].lower()
    root = Path(str(cfg.data.reader.get("root") or "")).name
    return f"{kind}-{root}" if root else kind


def _sizes_of(facts: Mapping[Path, ImageFacts]) -> dict[Path, tuple[int, int]]:
    return {path: (fact.height, fact.width) for path, fact in facts.items() if not fact.problem}
