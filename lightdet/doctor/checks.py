"""The checks of a dataset, one function for each kind of problem; each returns its findings."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.data.groups import shared_groups
from lightdet.data.image import BITS, TWELVE_BIT_MAX, read_values, to_eight_bits
from lightdet.data.record import Record, Splits
from lightdet.doctor.findings import Finding, ImageFacts, InputBoxes
from lightdet.ops.anchors import POOR_RECALL
from lightdet.ops.boxes import pairwise_iou
from lightdet.ops.grid import COARSEST, ImageSize, height_width, plain_size

SMALLEST_SIDE = 2.0  # px, input frame; below this nothing is left of an object after the first two convolutions
LARGEST_INPUT = 2048  # px; where more would be needed, cutting images into tiles is the better advice
SAME_PLACE_IOU = 0.95
IMBALANCE = 20.0
NAMED = 3  # images that a message names; the JSON report has them all


def look_at_images(splits: Splits) -> dict[Path, ImageFacts]:
    """Decode every image once."""
    bits = {record.path: record.bits for records in splits.values() for record in records}
    with ThreadPoolExecutor() as pool:
        return dict(zip(bits, pool.map(_look_at, bits.keys(), bits.values()), strict=True))


def _look_at(path: Path, bits: int | None) -> ImageFacts:
    try:
        values = read_values(path)
    except LightdetError as error:
        return ImageFacts(0, 0, b"", False, " ".join(str(error).split()))
    pixels = to_eight_bits(values, bits)
    height, width = pixels.shape[:2]
    digest = hashlib.blake2b(pixels.data, digest_size=16, key=f"{height} {width}".encode()).digest()
    blank = (
        not (pixels[: height // 8 + 1] != pixels[0, 0]).any() and not (pixels != pixels[0, 0]).any()
    )  # few pass the first
    brightest = None if values.dtype == np.uint8 else int(values.max())
    return ImageFacts(height, width, digest, blank, brightest=brightest)


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
        text = f"{_count(len(shared), 'image')} listed in two splits: what is measured there was trained on"
        found.append(Finding("warning", "leak", f"{text} ({_some(shared)})", tuple(shared)))
    return found


def check_groups(splits: Splits, group: str | None) -> list[Finding]:
    """Groups of `data.group` with images in two splits. Raises LightdetError for a `group` that gives no groups."""
    shared = {} if group is None else shared_groups(splits, group)
    if not shared:
        return []
    name, by_split = next(iter(shared.items()))
    example = ", ".join(f"{images[0]} in '{split}'" for split, images in by_split.items())
    text = f"{_count(len(shared), 'group')} of data.group in two splits, {_some(list(shared))}: what is measured there "
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


def count_boxes(records: Iterable[Record], num_classes: int) -> np.ndarray:
    """(num_classes,) int64: boxes of each class."""
    labels = [record.box_labels for record in records]
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
        text = f"{_count(len(images), 'image')} with the same box twice; remove one of each ({_some(images)})"
        found.append(Finding("warning", "duplicate boxes", text, images))
    if conflicts:
        images = tuple(dict.fromkeys(conflicts))
        text = f"{_count(len(images), 'image')} with one object labelled as two classes, {_some(list(disagreement))}"
        found.append(Finding("warning", "label conflict", f"{text} ({_some(images)})", images))
    return found


def check_images(splits: Splits, facts: Mapping[Path, ImageFacts]) -> list[Finding]:
    """Images that cannot be read, that show nothing, or that show the same as another."""
    found = []
    blank, groups = [], dict[bytes, dict[str, str]]()
    for split, records in splits.items():
        for record in records:
            fact = facts[record.path]
            if fact.problem:
                found.append(Finding("error", "unreadable image", fact.problem, (record.image_id,)))
                continue
            groups.setdefault(fact.digest, {}).setdefault(record.image_id, split)
            if fact.blank:
                blank.append(record.image_id)
    if blank:
        text = f"{_count(len(blank), 'image')} of one colour throughout ({_some(blank)})"
        found.append(Finding("warning", "blank image", text, tuple(blank)))
    copies = [group for group in groups.values() if len(group) > 1]
    leaks = [group for group in copies if len(set(group.values())) > 1]
    inside = [group for group in copies if len(set(group.values())) == 1]
    for some, topic, text in (
        (leaks, "leak", "shown in two splits: what is measured there was trained on"),
        (inside, "duplicate images", "stored more than once in a split"),
    ):
        if some:
            example = " = ".join(some[0])
            images = tuple(image for group in some for image in group)
            found.append(Finding("warning", topic, f"{_count(len(some), 'picture')} {text} ({example})", images))
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
            f"{_count(len(dark), 'image')} with values up to {TWELVE_BIT_MAX} read as 12 bits ({_some(dark)}), "
            f"{len(bright):,} brighter as 16 ({_some(bright)}) and so 16 times darker; set for all of them what the "
            f"camera writes, data.bits={'|'.join(map(str, BITS))}"
        )
        found.append(Finding("warning", "bit depth", text, tuple(dark if len(dark) < len(bright) else bright)))
    if cut:
        most, bits = max((value, bits) for value, bits in map(deep.__getitem__, cut) if bits is not None)
        text = (
            f"{_count(len(cut), 'image')} with values above {2**bits - 1}, up to {most}: data.bits={bits} makes them "
            f"white ({_some(cut)})"
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
        f"{_count(len(deep), 'image')} of 16 bits per channel with no value above {most}, read as {read_with} bits and "
        f"so {2 ** (read_with - enough)} times darker than as {enough}"
    )
    beside = f", beside {_count(shallow, 'image')} of 8 bits" if shallow else ""
    advice = f"; data.bits={enough} if that is what they hold ({_some(list(deep))})"
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
            f"at image_size={plain_size(image_size)} and cannot be learned; {advice} ({_some(where)})"
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


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
