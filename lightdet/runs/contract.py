"""The contract of a model package: what it holds, and the check of every value that is read. No torch here."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.config.moved import with_current_names, with_younger_keys
from lightdet.config.tree import digest
from lightdet.core.errors import LightdetError
from lightdet.ops.grid import COARSEST, ImageSize
from lightdet.runs.promise import KEY, Promise, to_promise
from lightdet.runs.trained_scale import KEY as SCALE
from lightdet.runs.trained_scale import TrainedScale, to_scale

FORMAT = "lightdet model package"
SCHEMA = 1
PLACING = {  # how an image becomes the network's input, besides its size and channels
    "colours": "RGB",
    "range": [0, 1],
    "letterbox": {"scale": "as large as fits, sides in proportion", "place": "centre", "padding_grey": 114},
}
MOST_SIDE, MOST_PIXELS = 16384, 4096**2  # of an input
MOST_CLASSES, LONGEST_NAME = 1000, 200
MOST_BATCH = 1024
MOST_LEVELS = 50  # of sections inside of sections
MOST_WHOLE = 2**63 - 1
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Contract:
    """The checked content of a contract.json."""

    classes: tuple[str, ...]  # names by label
    image_size: ImageSize  # px
    channels: int
    bits: int | None  # of the camera
    threshold: float | None  # least score of a result, as the validation split gave it; None: not measured
    configuration: dict[str, Any]  # of the model, resolved
    seed: int
    batch_size: int  # with which the scores were measured
    epoch: int  # of the weights, 0-based
    run: str  # fingerprint of its training
    splits: Mapping[str, str]  # split -> `ids_digest` of its images
    weights_sha256: str
    promise: Promise | None = None  # the threshold that `lightdet threshold` froze, and what it promises
    scale: TrainedScale | None = None  # of the training images

    def config(self) -> DictConfig:
        """What a run's configuration says of its model and input, as the code of today names it; a reader of data is
        not there."""
        data = {"bits": self.bits, "channels": self.channels, "image_size": self.image_size}
        tree = {
            "model": self.configuration,
            "data": {**data, "seed": self.seed, "batch_size": self.batch_size},
            "image_size": self.image_size,
            "channels": self.channels,
            "seed": self.seed,
            "classes": list(self.classes),
            "num_classes": len(self.classes),
        }
        return OmegaConf.create(with_younger_keys(with_current_names(tree)))


def ids_digest(image_ids: Sequence[str]) -> str:
    """One hash of the image ids of a split, in any order."""
    return digest(sorted(image_ids))


def to_contract(content: Mapping[str, Any]) -> Contract:
    """The content of a contract.json, checked. Raises LightdetError that names the first wrong value."""
    if content.get("format") != FORMAT:
        raise LightdetError(f"format={shown(content.get('format'))}, so no contract of a model package of lightdet")
    if content.get("schema") != SCHEMA or isinstance(content["schema"], bool):
        raise LightdetError(f"schema={shown(content.get('schema'))}, and this lightdet reads {SCHEMA}: update lightdet")
    given, model = _section(content, "input"), _section(content, "model")
    hashes, provenance = _section(content, "hashes"), _section(content, "provenance")
    for name, value in PLACING.items():
        if given.get(name) != value:
            raise LightdetError(f"input.{name}={shown(given.get(name))}: this lightdet knows {shown(value)} alone")
    classes = _classes(content.get("classes"))
    configuration = _section(model, "configuration")
    _check_values(configuration, len(classes), "model.configuration")
    return Contract(
        classes=classes,
        image_size=_image_size(given.get("image_size")),
        channels=_whole(given, "channels", 1, 6),
        bits=None if given.get("bits") is None else _whole(given, "bits", 8, 16),
        threshold=_threshold(content.get("threshold")),
        configuration=configuration,
        seed=_whole(provenance, "seed", 0, MOST_WHOLE),
        batch_size=_whole(provenance, "batch_size", 1, MOST_BATCH),
        epoch=_whole(provenance, "epoch", 0, MOST_WHOLE),
        run=_text(hashes, "run"),
        splits={name: _text(_section(hashes, "splits"), name) for name in _section(hashes, "splits")},
        weights_sha256=_sha256(hashes),
        promise=to_promise(content.get(KEY), classes, KEY),
        scale=to_scale(content.get(SCALE), SCALE),
    )


def shown(value: Any, most: int = 60) -> str:
    """A value of a contract for a message: ASCII, in which nothing steers a terminal, and short."""
    text = json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _classes(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not 1 <= len(names) <= MOST_CLASSES:
        raise LightdetError(f"classes={shown(names)}: give a list of 1 to {MOST_CLASSES} names")
    for name in names:
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
            raise LightdetError(f"classes: {shown(name)} is no name, one line of up to {LONGEST_NAME} characters")
    if len(set(names)) < len(names):
        raise LightdetError("classes: a name comes twice")
    return tuple(names)


def _image_size(given: Any) -> ImageSize:
    sides = given if isinstance(given, list) else [given]
    right = len(sides) == 2 or not isinstance(given, list)
    if not right or not all(_is_whole(side, COARSEST, MOST_SIDE) and side % COARSEST == 0 for side in sides):
        raise LightdetError(f"input.image_size={shown(given)}: a multiple of {COARSEST}, or two as [height, width]")
    if sides[0] * sides[-1] > MOST_PIXELS:
        raise LightdetError(f"input.image_size={shown(given)}: more than {MOST_PIXELS:,} pixels")
    size: ImageSize = given
    return size


def _threshold(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0 <= value <= 1):
        raise LightdetError(f"threshold={shown(value)}: a number from 0 to 1, or null")
    return None if value is None else float(value)


def _check_values(node: Any, num_classes: int, place: str, levels: int = MOST_LEVELS) -> None:
    """Everything must be resolved, and every number of classes be that of the names."""
    if not levels:
        raise LightdetError(f"{place}: more than {MOST_LEVELS} sections inside of each other")
    if isinstance(node, str) and ("${" in node or node == "???"):
        raise LightdetError(f"{place}={shown(node)}: no value; a contract refers to nothing outside")
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in inside:
        if name == "num_classes" and not _is_whole(value, num_classes, num_classes):
            raise LightdetError(f"{place}.num_classes={shown(value)}, and there are {num_classes} names of classes")
        inner = f"{place}.{shown(name)[1:-1]}" if isinstance(name, str) else place
        _check_values(value, num_classes, inner, levels - 1)


def _section(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise LightdetError(f"{name}={shown(value)}: a section of several values belongs here")
    return value


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise LightdetError(f"hashes: {shown(name)} is {shown(value)}, and no text")
    return value


def _sha256(hashes: Mapping[str, Any]) -> str:
    text = _text(hashes, "weights")
    if not SHA256.fullmatch(text):
        raise LightdetError(f"hashes.weights={shown(text)}: no sha256")
    return text


def _whole(content: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value: Any = content.get(name)
    if not _is_whole(value, least, most):
        raise LightdetError(f"{name}={shown(value)}: a whole number from {least} to {most}")
    return int(value)


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
