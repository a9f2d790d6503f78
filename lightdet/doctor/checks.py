"""The checks of splits, classes, boxes and depths, one function for each kind of problem; each returns its findings."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from lightdet.core.annotation import Boxes
from lightdet.core.channels import BITS
from lightdet.core.shown import counted
from lightdet.data.groups import shared_groups
from lightdet.data.image import TWELVE_BIT_MAX
from lightdet.data.record import Record, Splits
from lightdet.data.split import presence
from lightdet.doctor.findings import Finding, InputBoxes, some_of
from lightdet.ops.anchors import POOR_RECALL
from lightdet.ops.boxes import pairwise_iou
from lightdet.ops.grid import COARSEST, ImageSize, height_width, plain_size

SMALLEST_SIDE = 2.0  # px, input frame; below this nothing is left of an object after the first two convolutions
LARGEST_INPUT = 2048  # px; where more would be needed, cutting images into tiles is the better advice
SAME_PLACE_IOU = 0.95
IMBALANCE = 20.0
UNLIKE = 1.5  # share of a class in two splits, one in the other
SURE = 4.0  # standard errors: shares that differ less may do so by chance


def check_splits(splits: Splits) -> list[Finding]:
    """Splits that are missing or empty, those annotated by boxes without a single one, and images in two splits."""
    found = []
    for name, purpose in (("train", "learn from"), ("val", "measure on")):
        records = splits.get(name, ())
        if not records:
            found.append(
                Finding("error", "empty split", f"no images in '{name}': nothing to {purpose}; check its list")
            )
        elif all(isinstance(record.annotation, Boxes) and not len(record.box_labels) for record in records):
            text = f"no boxes in any of the {len(records)} images of '{name}': nothing to {purpose}; check the labels"
            found.append(Finding("error", "no boxes", text))
    first_seen: dict[str, str] = {}
    shared = []
    for name, records in splits.items():
        for record in records:
            if first_seen.setdefault(record.image_id, name) != name:
                shared.append(record.image_id)
    if shared:
        text = f"{counted(len(shared), 'image')} listed in two splits: what is measured there was trained on"
        found.append(Finding("warning", "leak", f"{text} ({some_of(shared)})", tuple(shared)))
    return found


def check_groups(splits: Splits, group: str | None) -> list[Finding]:
    """Groups of `data.group` with images in two splits. Raises LightdetError for a `group` that gives no groups."""
    shared = {} if group is None else shared_groups(splits, group)
    if not shared:
        return []
    name, by_split = next(iter(shared.items()))
    example = ", ".join(f"{images[0]} in '{split}'" for split, images in by_split.items())
    text = (
        f"{counted(len(shared), 'group')} of data.group in two splits, {some_of(list(shared))}: what is measured there "
    )
    images = tuple(image for by_split in shared.values() for some in by_split.values() for image in some)
    return [Finding("warning", "leak", f"{text}is related to what was trained on ({name}: {example})", images)]


def check_classes(splits: Splits, classes: Sequence[str]) -> list[Finding]:
    """Classes that cannot be learned or measured for lack of boxes, and imbalanced ones."""
    found = []
    counts = {name: count_boxes(records, len(classes)) for name, records in splits.items()}
    for name, lacks in (("train", "the detector cannot learn it"), ("val", "its AP cannot be measured")):
        if name in counts and counts[name].any():
            missing = [c for c, boxes in zip(classes, counts[name], strict=True) if not boxes]
            found += [Finding("warning", "class without boxes", f"{c}: no box in '{name}': {lacks}") for c in missing]
    train = counts.get("train", np.zeros(0, dtype=np.int64))
    present = train[train > 0]
    if len(present) > 1 and present.max() > IMBALANCE * present.min():
        rare, common = int(np.where(train > 0, train, train.max()).argmin()), int(train.argmax())
        text = f"{classes[common]} has {train[common]:,} boxes, {classes[rare]} {train[rare]:,}; expect a low AP there"
        found.append(Finding("note", "imbalance", text))
    return found


def check_shares(splits: Splits, classes: Sequence[str]) -> list[Finding]:
    """Classes that are much more frequent in one split than in another, by the images that show them: what is measured
    then says little about what was learned."""
    shown = {name: presence(records, len(classes))[:, :-1].sum(axis=0) for name, records in splits.items() if records}
    train, odd = splits.get("train"), list[str]()
    for name in [other for other in shown if other != "train"] if train else ():
        first, second = len(train or ()), len(splits[name])
        for label, (a, b) in enumerate(zip(shown["train"], shown[name], strict=True)):
            common = (a + b) / (first + second)
            error = math.sqrt(common * (1 - common) * (1 / first + 1 / second))
            share, other = a / first, b / second
            if a and b and abs(share - other) > SURE * error and max(share, other) > UNLIKE * min(share, other):
                odd.append(f"{classes[label]} in {share:.0%} of the images of 'train' and {other:.0%} of '{name}'")
    if not odd:
        return []
    text = f"{some_of(odd)}; were the splits taken from different parts, lots or days?"
    return [Finding("note", "class shares", text)]


def count_boxes(records: Iterable[Record], num_classes: int) -> np.ndarray:
    """(num_classes,) int64: boxes of each class, or images where an image has a class."""
    labels = [record.labels for record in records]
    return np.bincount(np.concatenate(labels) if labels else np.zeros(0, np.int64), minlength=num_classes)


def check_boxes(splits: Splits, classes: Sequence[str]) -> list[Finding]:
    """Boxes that occur twice, and boxes in the same place with different classes."""
    twice: list[str] = []
    conflicts: list[str] = []
    disagreement: dict[str, None] = {}
    for record in (record for records in splits.values() for record in records):
        iou = torch.triu(pairwise_iou(*[torch.from_numpy(record.boxes_xyxy)] * 2), diagonal=1).numpy()
        same = record.box_labels[:, None] == record.box_labels[None, :]
        if ((iou > 1 - 1e-6) & same).any():
            twice.append(record.image_id)
        for first, second in zip(*np.nonzero((iou >= SAME_PLACE_IOU) & ~same), strict=True):
            pair = sorted((classes[record.box_labels[first]], classes[record.box_labels[second]]))
            disagreement[" / ".join(pair)] = None
            conflicts.append(record.image_id)
    found = []
    if twice:
        images = tuple(dict.fromkeys(twice))
        text = f"{counted(len(images), 'image')} with the same box twice; remove one of each ({some_of(images)})"
        found.append(Finding("warning", "duplicate boxes", text, images))
    if conflicts:
        images = tuple(dict.fromkeys(conflicts))
        text = f"{counted(len(images), 'image')} with one object labelled as two classes, {some_of(list(disagreement))}"
        found.append(Finding("warning", "label conflict", f"{text} ({some_of(images)})", images))
    return found


def check_bits(records: Iterable[Record], brightest: Mapping[Path, int], shallow: int) -> list[Finding]:
    """Images of more than 8 bits per channel that are not scaled alike, or brighter than `data.bits` lets them be.

    `brightest`: the greatest value of each image with more than 8 bits per channel that was examined; `shallow`: how
    many images of 8 bits were examined beside them.
    """
    dark, bright, cut = list[str](), list[str](), list[str]()
    deep = {record.image_id: (brightest[record.path], record.bits) for record in records if record.path in brightest}
    for image, (value, bits) in deep.items():
        if bits is None:
            (dark if value <= TWELVE_BIT_MAX else bright).append(image)
        elif value >= 2**bits:
            cut.append(image)
    found = []
    if dark and bright:
        text = (
            f"{counted(len(dark), 'image')} with values up to {TWELVE_BIT_MAX} read as 12 bits ({some_of(dark)}), "
            f"{len(bright):,} brighter as 16 ({some_of(bright)}) and so 16 times darker; set for all of them what the "
            f"camera writes, data.bits={'|'.join(map(str, BITS))}"
        )
        found.append(Finding("warning", "bit depth", text, tuple(dark if len(dark) < len(bright) else bright)))
    if cut:
        most, bits = max((value, bits) for value, bits in map(deep.__getitem__, cut) if bits is not None)
        text = (
            f"{counted(len(cut), 'image')} with values above {2**bits - 1}, up to {most}: data.bits={bits} makes them "
            f"white ({some_of(cut)})"
        )
        found.append(Finding("warning", "bit depth", text, tuple(cut)))
    return found or _check_range(deep, shallow)


def _check_range(deep: Mapping[str, tuple[int, int | None]], shallow: int) -> list[Finding]:
    """Images whose values would fit into fewer bits than they are read with, all of them, which makes them dark.

    `deep`: the greatest value of an image, and its `bits`.
    """
    if not deep:
        return []
    most, bits = max((value, bits or 0) for value, bits in deep.values())
    read_with = bits or (12 if most <= TWELVE_BIT_MAX else 16)
    enough = next((one for one in BITS if most < 2**one), read_with)
    if enough >= read_with or (bits and enough > BITS[0]):  # a person who sets 12 bits knows of dim images
        return []
    text = (
        f"{counted(len(deep), 'image')} of 16 bits per channel with no value above {most}, read as {read_with} bits "
        f"and so {2 ** (read_with - enough)} times darker than as {enough}"
    )
    beside = f", beside {counted(shallow, 'image')} of 8 bits" if shallow else ""
    advice = f"; data.bits={enough} if that is what they hold ({some_of(list(deep))})"
    level: Literal["warning", "note"] = "warning" if shallow or enough == BITS[0] else "note"
    return [Finding(level, "bit depth", text + beside + advice, tuple(deep))]


def check_sizes(boxes: InputBoxes, classes: Sequence[str], image_size: ImageSize) -> list[Finding]:
    """Boxes too small to be learned at this input size."""
    short, labels = boxes.sizes.min(axis=1, initial=math.inf), boxes.labels
    tiny = short < SMALLEST_SIDE
    found = []
    for label in np.unique(labels[tiny]):
        some = tiny & (labels == label)
        where = tuple(dict.fromkeys(image for image, small in zip(boxes.images, some, strict=True) if small))
        wanted = SMALLEST_SIDE / short[some].min()
        needed = [math.ceil(wanted * side / COARSEST) * COARSEST for side in height_width(image_size)]
        setting = needed[0] if isinstance(image_size, int) else needed
        advice = (
            f"image_size={setting} would show them" if max(needed) <= LARGEST_INPUT else "cut the images into tiles"
        )
        of_all = int((labels == label).sum())
        text = (
            f"{classes[label]}: {some.sum():,} of {of_all:,} boxes are less than {SMALLEST_SIDE:g} px wide or high "
            f"at image_size={plain_size(image_size)} and cannot be learned; {advice} ({some_of(where)})"
        )
        found.append(Finding("warning", "unlearnable boxes", text, where))
    return found


def check_anchors(recall: float, per_class: Mapping[str, float]) -> list[Finding]:
    """Anchors that cannot reach the boxes of the training set."""
    if recall >= POOR_RECALL:
        return []
    worst = min(per_class, key=lambda name: per_class[name])
    text = (
        f"no anchor fits {1 - recall:.1%} of the training boxes, worst for {worst} ({1 - per_class[worst]:.1%}); "
        "cluster anchors from this training set, or use a predictor without anchors"
    )
    return [Finding("note", "anchors", text)]
