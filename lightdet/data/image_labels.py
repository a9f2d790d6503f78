"""Classes of the whole image from its boxes or mask, so that every detection dataset also trains classifiers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lightdet.core.annotation import Boxes, ClassLabel, LabelSet, Mask
from lightdet.core.errors import LightdetError
from lightdet.data.record import Record

GOOD, DEFECT = "good", "defect"  # images without an object; with one, where all classes become one


def _first(record: Record) -> int:
    return int(record.labels[0])


def _largest(record: Record) -> int:
    """Of equally large boxes the first."""
    if isinstance(record.annotation, Mask):
        raise LightdetError(
            f"data.label=largest: {record.path} has a mask, whose areas are not known before it is read; take first"
        )
    corners = record.boxes_xyxy.astype(np.float64)
    return int(record.labels[(corners[:, 2:] - corners[:, :2]).prod(axis=1).argmax()])


def _majority(record: Record) -> int:
    """Of equally frequent classes the one that comes first."""
    labels, first, counts = np.unique(record.labels, return_index=True, return_counts=True)
    return int(labels[np.lexsort((first, -counts))[0]])


RULES: Mapping[str, Callable[[Record], int]] = {"first": _first, "largest": _largest, "majority": _majority}
ANY_DEFECT, ALL = "any_defect", "all"
NAMES = (*RULES, ANY_DEFECT, ALL)


def with_image_labels(
    splits: Mapping[str, Sequence[Record]], classes: Sequence[str], rule: str
) -> tuple[dict[str, list[Record]], tuple[str, ...]]:
    """Records of boxes or masks with a `ClassLabel` each, and the classes; those that have one already are unchanged.

    The label keeps the boxes from which it was made; with "any_defect" each of them is a defect, too.
    `rule`: the class of an image is that of its "first" or "largest" box, of the "majority" of its boxes, or, with
    "any_defect", "defect". An image without an object is "good", a further class, where there are any in training.
    With "all" each record has a `LabelSet`, see `with_label_sets`.
    Raises LightdetError for another rule, for a class of the dataset that is itself called good, for an image without
    an object in a split where training has none, and for one that has several classes and no boxes to choose by.
    """
    if rule not in NAMES:
        raise LightdetError(f"data.label={rule}: one of {', '.join(NAMES)}")
    if rule == ALL:
        return with_label_sets(splits, classes)
    records = [record for split in splits.values() for record in split]
    if all(isinstance(record.annotation, ClassLabel) for record in records):
        return {name: list(split) for name, split in splits.items()}, tuple(classes)
    has_good = any(_is_good(record) for record in splits.get("train", ()))
    if has_good and GOOD in classes and rule != ANY_DEFECT:
        raise LightdetError(
            f"data.label={rule}: the dataset has a class {GOOD!r} and images without any object, which would be the "
            "same class; rename or remove the class, or its boxes"
        )
    label_of, names = _labelling(rule, classes, has_good)
    of_boxes = np.full(len(classes), names.index(DEFECT)) if rule == ANY_DEFECT else np.arange(len(classes))
    labelled = {
        name: [_labelled(record, label_of, of_boxes, has_good, name) for record in split]
        for name, split in splits.items()
    }
    return labelled, names


def with_label_sets(
    splits: Mapping[str, Sequence[Record]], classes: Sequence[str]
) -> tuple[dict[str, list[Record]], tuple[str, ...]]:
    """Records with a `LabelSet` each: all classes of an image's boxes or mask, or its one class; and the classes.

    "good" is no class among several: an image that has it alone has the empty set. Raises LightdetError for an image
    that is good and has another class, and for one without any annotation.
    """
    names = tuple(name for name in classes if name != GOOD)
    places = np.array([names.index(name) if name != GOOD else -1 for name in classes], np.int64)

    def labelled(record: Record) -> Record:
        if record.annotation is None:
            raise LightdetError(f"{record.path}: no annotation, and a class of the image comes from it")
        of_crowds = np.zeros(0, np.int64) if record.boxes is None else record.boxes.crowd_labels
        found = np.unique(places[np.concatenate((record.labels, of_crowds))])
        if len(found) > 1 and found[0] < 0:
            others = ", ".join(names[label] for label in found[1:])
            raise LightdetError(f"{record.path}: labelled {GOOD!r} and {others}; correct one of them")
        kept = None if record.boxes is None or found[:1].tolist() == [-1] else record.boxes.relabelled(places)
        return replace(record, annotation=LabelSet(tuple(found[found >= 0].tolist()), kept))

    return {name: [labelled(record) for record in split] for name, split in splits.items()}, names


def _labelling(rule: str, classes: Sequence[str], has_good: bool) -> tuple[Callable[[Record], int], tuple[str, ...]]:
    """How a record gets its label, and the names of the labels."""
    if rule == ANY_DEFECT:
        return (lambda record: int(not _is_good(record))), (GOOD, DEFECT)
    names = (*classes, GOOD) if has_good else tuple(classes)
    return (lambda record: len(classes) if _is_good(record) else _chosen(record, rule)), names


def _chosen(record: Record, rule: str) -> int:
    if not isinstance(record.annotation, LabelSet) or record.boxes is not None:
        return RULES[rule](record)
    if len(record.labels) > 1:
        raise LightdetError(
            f"data.label={rule}: {record.path} has {len(record.labels)} classes and no boxes to choose by; take "
            f"labels=several, or data.label={ANY_DEFECT}"
        )
    return int(record.labels[0])


def _is_good(record: Record) -> bool:
    crowded = isinstance(record.annotation, Boxes) and len(record.annotation.crowd_labels) > 0
    return isinstance(record.annotation, Boxes | LabelSet | Mask) and not len(record.labels) and not crowded


def _labelled(
    record: Record, label_of: Callable[[Record], int], of_boxes: np.ndarray, has_good: bool, split: str
) -> Record:
    """`of_boxes`: the class that a box of each class of the dataset has beside the label."""
    if isinstance(record.annotation, ClassLabel):
        return record
    if record.annotation is None or (_is_good(record) and not has_good):
        raise LightdetError(
            f"{record.path}: an image without an object in '{split}', and the training images have none; take some "
            "into train, or leave it out"
        )
    boxes, judged = record.boxes, record
    if boxes is not None and not len(boxes.labels) and len(boxes.crowd_labels):
        judged = replace(record, annotation=Boxes(boxes.crowd_xyxy, boxes.crowd_labels))
    kept = None if boxes is None else boxes.relabelled(of_boxes)
    return replace(record, annotation=ClassLabel(label_of(judged), kept))


def require_parts(records: Sequence[Record]) -> None:
    """Raises LightdetError for records with classes of the whole image, of which a window would show a part."""
    if any(isinstance(record.annotation, ClassLabel | LabelSet) for record in records):
        raise LightdetError(
            "augment=window shows a part of each image, and its class is that of the whole; take another augment="
        )
