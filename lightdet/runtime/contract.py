"""The contract that an exported file carries as JSON, and the check of every value of it. No torch here."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown
from lightdet.ops.grid import ImageSize
from lightdet.runs.promise import KEY, Promise, to_promise

FORMAT = "lightdet exported model"
SCHEMA = 1
METADATA = "lightdet"  # key of the contract in a file's metadata
MOST_SIDE, MOST_CLASSES = 16384, 1000
DETECTION, CLASSIFICATION = "detection", "classification"


@dataclass(frozen=True, slots=True)
class ExportContract:
    """What a program must know to run the file.

    task: detection or classification. classes: names by label. image_size: px of the input, side or [height, width].
    channels: 3 RGB, 1 grey. bits: of the camera, for images of more than 8 bits; None: 12 or 16, by the image.
    one_image: the file takes a single image at a time. thresholds: of each class of a detector, least score of a
    detection. costs: (C, C) of a classifier that decides by the least expected cost, [true][decided]; None: it decides
    for the most probable class.
    """

    task: str
    classes: tuple[str, ...]
    image_size: ImageSize
    channels: int
    bits: int | None
    one_image: bool
    thresholds: tuple[float, ...]
    costs: tuple[tuple[float, ...], ...] | None
    splits: Mapping[str, str]  # split -> hash of the ids of its images
    promise: Promise | None  # the threshold that `lightdet threshold` froze, and what it promises
    content: Mapping[str, Any]  # all of it


def read(text: str | None, place: str) -> ExportContract:
    """The contract of a file, from the text in its metadata. Raises LightdetError, which begins with `place`, for a
    file of another program and the first value that is wrong."""
    if not text:
        raise LightdetError(f"{place}: no model that lightdet exported: its metadata has no contract")
    try:
        content = json.loads(text)
        return _checked(content)
    except (LightdetError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, LightdetError) else f"{type(error).__name__} {error}"
        raise LightdetError(f"{place}: its contract is damaged ({shown(reason[:200])})") from None


def _checked(content: Any) -> ExportContract:
    if content.get("format") != FORMAT:
        raise LightdetError(f"format is not {FORMAT!r}")
    if content.get("schema") != SCHEMA:
        raise LightdetError(f"schema {content.get('schema')}, and this lightdet reads {SCHEMA}: update lightdet")
    classes, given, output = content["classes"], content["input"], content["output"]
    _demand(content["task"] in (DETECTION, CLASSIFICATION), "task")
    _demand(isinstance(classes, list) and 0 < len(classes) <= MOST_CLASSES, "classes")
    _demand(all(isinstance(name, str) and name.isprintable() for name in classes), "classes")
    size = given["image_size"]
    sides = size if isinstance(size, list) and len(size) == 2 else [size]
    _demand(all(type(side) is int and 0 < side <= MOST_SIDE for side in sides), "input.image_size")
    _demand(given["channels"] in (1, 3), "input.channels")
    _demand(given["bits"] is None or given["bits"] in range(8, 17), "input.bits")
    thresholds = output.get("thresholds") or []
    if content["task"] == DETECTION:
        _demand(len(thresholds) == len(classes) and all(0 <= float(value) <= 1 for value in thresholds), "thresholds")
    return ExportContract(
        content["task"],
        tuple(classes),
        size,
        given["channels"],
        given["bits"],
        bool(given["one_image"]),
        tuple(map(float, thresholds)),
        _costs(output.get("costs"), len(classes)),
        {str(name): str(value) for name, value in content["hashes"]["splits"].items()},
        to_promise(content.get(KEY), classes, KEY),
        content,
    )


def _costs(rows: Sequence[Sequence[float]] | None, count: int) -> tuple[tuple[float, ...], ...] | None:
    if rows is None:
        return None
    _demand(len(rows) == count and all(len(row) == count for row in rows), "output.costs")
    _demand(all(math.isfinite(float(value)) and value >= 0 for row in rows for value in row), "output.costs")
    return tuple(tuple(map(float, row)) for row in rows)


def _demand(right: bool, name: str) -> None:
    if not right:
        raise LightdetError(name)
