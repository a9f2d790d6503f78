"""Examining a dataset: everything for `lightdet doctor`, a few hundred headers before every training."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.annotation import Boxes, ClassLabel, LabelSet
from lightdet.core.errors import LightdetError
from lightdet.data.groups import read_splits
from lightdet.data.image import is_deep, original_size, read_values
from lightdet.data.record import Reader, Record, Splits, doubts_of, require_kind
from lightdet.doctor.checks import (
    check_anchors,
    check_bits,
    check_boxes,
    check_classes,
    check_groups,
    check_shares,
    check_sizes,
    check_splits,
)
from lightdet.doctor.findings import Examination, Finding, ImageFacts, InputBoxes
from lightdet.doctor.image_checks import (
    check_image_sizes,
    check_images,
    check_near_copies,
    check_orientation,
    check_suffixes,
    find_near_copies,
    look_at_images,
    turned_images,
)
from lightdet.doctor.label_checks import Labelling, count_labels, label_images
from lightdet.ops.anchors import DEFAULT_ANCHORS, reachable
from lightdet.ops.grid import ImageSize

QUICK_SAMPLE = 500  # images whose headers the quick check opens
QUICK_DECODED = 32  # of those with more than 8 bits per channel


def examine(
    reader: Reader,
    image_size: ImageSize,
    anchors: Sequence[Any] | np.ndarray | None = None,
    bits: int | None = None,
    group: str | None = None,
    labelling: Labelling | None = None,
) -> Examination:
    """Read and decode everything once, with `bits` and `group` as training does.

    `anchors`: width and height in px of the input frame, in any nesting; None: those that training starts from.
    `labelling`: for a classifier; images of each label are then counted in place of boxes, and nothing is said of
    boxes that a detector could not learn. Images are counted as well where all have labels of their own.
    Raises LightdetError when labels cannot be read at all.
    """
    splits = read_splits(reader, bits, group)
    classes = reader.classes
    facts = look_at_images(splits)
    everything = [record for records in splits.values() for record in records]
    boxes = InputBoxes.of(everything, _sizes_of(facts), image_size)
    findings = [Finding("warning", "labels", doubt) for doubt in doubts_of(reader)]
    findings += check_splits(splits) + check_groups(splits, group)
    labels: dict[str, dict[str, int]] = {}
    if labelling is None:
        findings += check_shares(splits, classes)
        if all(isinstance(record.annotation, ClassLabel | LabelSet) for record in everything):
            labels, about_labels = count_labels(splits, classes)
            findings += about_labels
        else:
            findings += check_classes(splits, classes)
    else:
        labels, about_labels = label_images(splits, classes, labelling)
        findings += about_labels
    findings += check_images(splits, facts)
    near, not_compared = find_near_copies(splits, facts)
    turned = turned_images(splits, facts)
    findings += check_near_copies(near, not_compared) + check_orientation(turned)
    findings += check_image_sizes(splits, facts) + check_suffixes(splits, facts)
    brightest = {path: fact.brightest for path, fact in facts.items() if fact.brightest is not None}
    shallow = sum(fact.brightest is None and not fact.problem for fact in facts.values())
    findings += check_bits(everything, brightest, shallow)
    findings += check_boxes(splits, classes)
    trained_on = InputBoxes.of(splits.get("train", ()), _sizes_of(facts), image_size)
    anchors_wh = np.asarray(DEFAULT_ANCHORS if anchors is None else anchors, dtype=np.float64).reshape(-1, 2)
    fits = reachable(trained_on.sizes, anchors_wh)
    recall = float(fits.mean()) if len(fits) else 1.0
    per_class = {classes[k]: float(fits[trained_on.labels == k].mean()) for k in np.unique(trained_on.labels)}
    if labelling is None:
        findings += check_sizes(boxes, classes, image_size) + check_anchors(recall, per_class)
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
        tuple(near),
        tuple(turned),
        labels,
    )


def quick_check(
    records_by_split: Splits,
    classes: Sequence[str],
    image_size: ImageSize,
    kind: type | None = Boxes,
    group: str | None = None,
) -> list[str]:
    """A check of a few hundred headers before a training; a few images of more than 8 bits are decoded.

    `kind`: the annotation that the model needs, of `lightdet.core.annotation`; None: none. `group`: `data.group`.
    Returns warnings, one line each. Raises LightdetError for a dataset that cannot be trained on: an empty training or
    validation split, one without boxes where the model needs them, an annotation of another kind than it needs, and
    an image that cannot be read.
    """
    require_kind(records_by_split, kind)
    findings = [one for one in check_splits(records_by_split) if kind is Boxes or one.topic != "no boxes"]
    errors = [finding.message for finding in findings if finding.level == "error"]
    if errors:
        raise LightdetError(f"dataset: {errors[0]}")
    findings += check_groups(records_by_split, group)
    if kind in (ClassLabel, LabelSet):
        findings += count_labels(records_by_split, classes)[1]
    if kind is Boxes:
        findings += check_classes(records_by_split, classes)
        train = records_by_split["train"]
        sample = [record for record in train[:: -(-len(train) // QUICK_SAMPLE)] if len(record.box_labels)]
        sizes = {record.path: original_size(record.path) for record in sample}
        findings += check_sizes(InputBoxes.of(sample, sizes, image_size), classes, image_size)
    everything = [record for records in records_by_split.values() for record in records]
    findings += check_bits(everything, *_brightest(everything[:: -(-len(everything) // QUICK_SAMPLE)]))
    return [f"{finding.topic}: {finding.message}" for finding in findings if finding.level == "warning"]


def _brightest(sample: Sequence[Record]) -> tuple[dict[Path, int], int]:
    """The greatest value of some of the images with more than 8 bits per channel, and the number of the others."""
    deep = [record.path for record in sample if is_deep(record.path)]
    some = deep[:: max(1, -(-len(deep) // QUICK_DECODED))]
    with ThreadPoolExecutor() as pool:
        brightest = dict(zip(some, pool.map(lambda path: int(read_values(path).max()), some), strict=True))
    return brightest, len(sample) - len(deep)


def _sizes_of(facts: Mapping[Path, ImageFacts]) -> dict[Path, tuple[int, int]]:
    return {path: (fact.height, fact.width) for path, fact in facts.items() if not fact.problem}
