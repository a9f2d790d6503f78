"""The model card of a package: README.md, for the person who gets it. No torch here."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lightdet.core.table import as_text, to_markdown
from lightdet.ops.grid import size_text

USE = """```sh
lightdet predict FOLDER images/ --out predictions
```

```python
import lightdet

model = lightdet.load("FOLDER")  # this folder
results = model("part.jpg")  # a path, a folder, an array, a PIL image, or a list of them
print(results[0])
```"""


def card(contract: Mapping[str, Any]) -> str:
    """The card of what a contract.json holds, as Markdown. All text from the contract is shown as text."""
    parts = [
        f"# {_title(contract)}",
        f"Task: {as_text(contract['task'])}. Classes: {', '.join(map(as_text, contract['classes']))}.",
        "## How it was measured",
        *(_measured(contract, split, found) for split, found in contract["measured"].items()),
        "## How to use it",
        *_modules(contract["model"]["modules"]),
        USE,
        _input(contract),
        "## What it should not be used for",
        "*To be filled in by who passes this model on.*",
        "## Licence",
        as_text(contract["licence"] or "Not stated."),
        "## Where it comes from",
        to_markdown(("", ""), _origin(contract), (False, False)),
        "`contract.json` says all of this to programs, `model.safetensors` has the weights. Nothing here is code.",
    ]
    return "\n\n".join(parts) + "\n"


def _title(contract: Mapping[str, Any]) -> str:
    options = contract["model"]["options"]
    words = (str(options[group]) for group in ("model", "data") if group in options)
    return as_text(" on ".join(words)) or "Model package"


def _measured(contract: Mapping[str, Any], split: str, found: Mapping[str, Any]) -> str:
    """The numbers of one split, over all and for each class."""
    titles = contract["titles"]
    names = {"val": "validation images, which also chose the weights and any threshold", "test": "test images"}
    of = names.get(split, "images that it was trained on")
    scores = [f"{titles[key]} {_number(value)}" for key, value in found["scores"].items()]
    lines = [f"On {found['images']} {of}: {', '.join(map(as_text, scores))}."]
    point = found["operating_point"] or {}
    known = [(word, point.get(key)) for key, word in _POINT.items() if point.get(key) is not None]
    if known:
        numbers = ", ".join(f"{word} {_number(value)}" for word, value in known)
        lines.append(f"At a score of {_number(point.get('threshold'))} or more: {numbers}.")
    keys = list(dict.fromkeys(key for numbers in found["per_class"].values() for key in numbers))
    if keys:
        rows = [[name, *(_number(numbers.get(key)) for key in keys)] for name, numbers in found["per_class"].items()]
        lines.append(to_markdown(["class", *(titles[key] for key in keys)], rows, [False, *(True for _ in keys)]))
    return "\n\n".join(lines)


_POINT = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "escape_rate": "share of defective images that are missed",
    "overkill_rate": "share of good images that are rejected",
}


def _modules(needed: Sequence[str]) -> Iterator[str]:
    """What the user needs besides lightdet, if anything."""
    if needed:
        listed = as_text(", ".join(needed))
        word = "`--trust-modules`, in Python `trust_modules=True`"
        yield f"It needs modules that are not in this folder, {listed}, and the word {word}."


def _input(contract: Mapping[str, Any]) -> str:
    given = contract["input"]
    bits = f" Images of more than 8 bits are read with {given['bits']}." if given["bits"] else ""
    threshold = contract["threshold"]
    least = "0.25, as none was measured" if threshold is None else f"{_number(threshold)}, that of the numbers above"
    return (
        f"Images of any size become {size_text(given['image_size'])}, {given['channels']} channels, sides in "
        f"proportion and the rest grey.{bits} Without `--threshold`, the least score of a result is {least}."
    )


def _origin(contract: Mapping[str, Any]) -> list[tuple[str, str]]:
    origin, model, hashes = contract["provenance"], contract["model"], contract["hashes"]
    options = ", ".join(f"{key}={value}" for key, value in model["options"].items())
    with_versions = ", ".join(f"{name} {number}" for name, number in origin["exported_with"].items())
    return [
        ("trained", f"{origin['trained']}, epoch {origin['epoch'] + 1}, seed {origin['seed']}"),
        ("study, row", f"{origin['study']}, {origin['row']}"),
        ("overrides", " ".join(origin["overrides"])),
        ("options", options),
        ("parameters", f"{model['parameters']:,}"),
        ("fingerprint", hashes["run"]),
        ("sha256 of the weights", hashes["weights"]),
        ("exported with", with_versions),
    ]


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, int | float) else json.dumps(value)
