"""The contract that an exported file carries as JSON, and the check of every value of it. No torch here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown
from lightdet.ops.grid import ImageSize
from lightdet.runs.promise import KEY, Promise, to_promise
from lightdet.runs.trained_scale import KEY as SCALE
from lightdet.runs.trained_scale import TrainedScale, to_scale
from lightdet.runtime.selection import Selection

FORMAT = "lightdet exported model"
SCHEMA = 1
PLACED, PHOTO = "placed", "photo"  # what the file takes: images that are placed already, or a single one as it is
METADATA = "lightdet"  # key of the contract in a file's metadata
MOST_SIDE, MOST_CLASSES, LONGEST_NAME, MOST_COST = 16384, 1000, 200, 1e12
DETECTION, CLASSIFICATION = "detection", "classification"
SEVERAL = "multi_label_classification"  # several classes of an image, or none
FILE, RUNTIME = "file", "lightdet.runtime"  # by whom the boxes of a file are selected


@dataclass(frozen=True, slots=True)
class ExportContract:
    """What a program must know to run the file.

    task: detection, classification or multi_label_classification. classes: names by label. image_size: px of the
    input, side or [height, width]. channels: 3 RGB, 1 grey. bits: of the camera, for images of more than 8 bits;
    None: 12 or 16, by the image. photo: the file takes an image as it is and places it itself. one_image: the file
    takes a single image at a time. thresholds: least score of a detection of each class, or least probability with
    which an image of several classes has it. costs: (C, C) of a classifier, [true][decided]; by_cost: it decides for
    the least expected cost, else for the most probable class. good: name of the class of sound parts.
    """

    task: str
    classes: tuple[str, ...]
    image_size: ImageSize
    channels: int
    bits: int | None
    photo: bool
    one_image: bool
    thresholds: tuple[float, ...]
    costs: tuple[tuple[float, ...], ...]
    by_cost: bool
    good: str
    selection: Selection | None
    selects: bool
    splits: Mapping[str, str]  # split -> hash of the ids of its images
    promise: Promise | None  # the threshold that `lightdet threshold` froze, and what it promises
    scale: TrainedScale | None  # of the training images
    content: Mapping[str, Any]  # all of it


def read(text: str | None, place: str) -> ExportContract:
    """The contract of a file, from the text in its metadata. Raises LightdetError, which begins with `place`, for a
    file of another program and the first value that is wrong."""
    if not text:
        raise LightdetError(f"{place}: no model that lightdet exported: its metadata has no contract")
    try:
        content = json.loads(text)
        return _checked(content)
    except (LightdetError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        reason = str(error) if isinstance(error, LightdetError) else f"{type(error).__name__} {error}"
        raise LightdetError(f"{place}: its contract is damaged ({shown(reason[:200])}); export it again") from None


def _checked(content: Any) -> ExportContract:
    if content.get("format") != FORMAT:
        raise LightdetError(f"format is not {FORMAT!r}")
    if content.get("schema") is not SCHEMA:
        raise LightdetError(f"schema {content.get('schema')}, and this lightdet reads {SCHEMA}: update lightdet")
    classes, given, output, task = content["classes"], content["input"], content["output"], content["task"]
    _demand(task in (DETECTION, CLASSIFICATION, SEVERAL), "task")
    _demand(isinstance(classes, list) and 0 < len(classes) <= MOST_CLASSES, "classes")
    _demand(all(isinstance(name, str) and _is_name(name) for name in classes), "classes")
    _demand(len(set(classes)) == len(classes), "classes: a name comes twice")
    size, channels, bits, one_image = (given[name] for name in ("image_size", "channels", "bits", "one_image"))
    sides = size if isinstance(size, list) and len(size) == 2 else [size]
    _demand(all(type(side) is int and 0 < side <= MOST_SIDE for side in sides), "input.image_size")
    _demand(type(channels) is int and channels in (1, 3), "input.channels")
    _demand(bits is None or (type(bits) is int and 8 <= bits <= 16), "input.bits")
    _demand(isinstance(one_image, bool), "input.one_image")
    form = given.get("form", PLACED)
    _demand(form == PLACED or (form == PHOTO and one_image), "input.form")
    thresholds, costs = output.get("thresholds", []), output.get("costs", [])
    if task != CLASSIFICATION:
        _demand(len(thresholds) == len(classes) and all(_is_number(each, 1) for each in thresholds), "thresholds")
    if task == DETECTION:
        _demand(_is_number(output["nms_iou"], 1) and type(output["max_detections"]) is int, "output")
        _demand(output.get("overlap") is None or _is_number(output["overlap"], 1), "output.overlap")
        _demand(output.get("selected_by", FILE) in (FILE, RUNTIME), "output.selected_by")
    elif task == CLASSIFICATION:
        _demand(len(costs) == len(classes) and all(len(row) == len(classes) for row in costs), "output.costs")
        _demand(all(_is_number(value, MOST_COST) for row in costs for value in row), "output.costs")
    least = tuple(map(float, thresholds))
    selection = None
    if task == DETECTION:
        selection = Selection(least, output["nms_iou"], output.get("overlap"), output["max_detections"])
    return ExportContract(
        task,
        tuple(classes),
        size,
        channels,
        bits,
        form == PHOTO,
        one_image,
        least,
        tuple(tuple(map(float, row)) for row in costs),
        output.get("decision") == "cheapest",
        str(output.get("good", "")),
        selection,
        output.get("selected_by", FILE) == FILE,
        {str(name): str(value) for name, value in content["hashes"]["splits"].items()},
        to_promise(content.get(KEY), classes, KEY),
        to_scale(content.get(SCALE), SCALE),
        content,
    )


def _is_name(name: str) -> bool:
    return name.isprintable() and len(name.strip()) > 0 and len(name) <= LONGEST_NAME


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _demand(right: bool, name: str) -> None:
    if not right:
        raise LightdetError(name)
