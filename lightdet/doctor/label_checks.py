"""What a classifier will train on: images of each label, and the findings about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lightdet.core.annotation import ClassLabel
from lightdet.core.shown import counted
from lightdet.data.image_labels import with_image_labels
from lightdet.data.per_class import PerClass, cut_per_class
from lightdet.data.record import Record, Splits
from lightdet.doctor.checks import IMBALANCE, check_shares, count_boxes
from lightdet.doctor.findings import Finding, some_of

NO_LABEL = "(no class)"  # of images that may have several


@dataclass(frozen=True, slots=True)
class Labelling:
    """How the images of a dataset get their labels: `data.label`, `data.per_class` and `data.per_class_seed`."""

    rule: str
    per_class: PerClass = None
    seed: int = 0


def label_images(
    splits: Splits, classes: Sequence[str], labelling: Labelling
) -> tuple[dict[str, dict[str, int]], list[Finding]]:
    """How many images of each split have each label, as training reads them, and the findings about them.

    Raises LightdetError as `with_image_labels` and `cut_per_class` do.
    """
    labelled, names = with_image_labels(splits, classes, labelling.rule)
    findings = check_shares(labelled, names) + _check_choice(splits, labelled, labelling.rule)
    if labelling.per_class is not None:
        kept, told = cut_per_class(labelled.get("train", []), names, labelling.per_class, labelling.seed)
        labelled = {**labelled, "train": kept}
        findings += [Finding("note", "labels", line) for line in told]
    counts, about_counts = count_labels(labelled, names)
    return counts, findings + about_counts


def count_labels(labelled: Splits, names: Sequence[str]) -> tuple[dict[str, dict[str, int]], list[Finding]]:
    """Like `label_images`, of images that have their labels already."""
    counts = {split: _images_of(records, names) for split, records in labelled.items()}
    return counts, _check_counts(counts, names)


def _images_of(records: Sequence[Record], names: Sequence[str]) -> dict[str, int]:
    counts = dict(zip(names, count_boxes(records, len(names)).tolist(), strict=True))
    empty = sum(not len(record.labels) for record in records)
    return {**counts, NO_LABEL: empty} if empty else counts


def _check_counts(counts: Mapping[str, Mapping[str, int]], names: Sequence[str]) -> list[Finding]:
    """Classes that cannot be learned or measured for lack of images, and imbalanced ones."""
    found = []
    for split, lacks in (("train", "the classifier cannot learn it"), ("val", "its recall cannot be measured")):
        missing = [name for name in names if split in counts and not counts[split][name]]
        found += [Finding("warning", "class without images", f"{c}: no image in '{split}': {lacks}") for c in missing]
    train = {name: counts["train"][name] for name in names if counts.get("train", {}).get(name)}
    if train and max(train.values()) > IMBALANCE * min(train.values()):
        common, rare = max(train, key=lambda name: train[name]), min(train, key=lambda name: train[name])
        text = f"{common} has {train[common]:,} images, {rare} {train[rare]:,}; expect a low recall there"
        found.append(Finding("note", "imbalance", text))
    return found


def _check_choice(splits: Splits, labelled: Splits, rule: str) -> list[Finding]:
    """Images that show several classes where only one of them becomes the label."""
    several = [
        record.image_id
        for name, records in splits.items()
        for record, judged in zip(records, labelled[name], strict=True)
        if isinstance(judged.annotation, ClassLabel) and len(np.unique(record.labels)) > 1
    ]
    if not several or rule == "any_defect":
        return []
    text = (
        f"{counted(len(several), 'image')} with boxes of several classes, of which data.label={rule} takes one "
        f"({some_of(several)}); labels=several keeps all"
    )
    return [Finding("note", "labels", text, tuple(several))]
