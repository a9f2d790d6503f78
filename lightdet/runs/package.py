"""A model package on disk: a folder with `contract.json`, `model.safetensors` and `README.md`, and nothing that runs.

The contract says what the model is and how it is used; it names no file and holds no path. A package may come from
anybody, so every value is checked before it is used, and text from it is shown in ASCII. No torch here.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.runs.contract import Contract, shown, to_contract

CONTRACT, WEIGHTS, CARD = "contract.json", "model.safetensors", "README.md"
FILES = (CONTRACT, WEIGHTS, CARD)
MOST_BYTES = 2**20  # of contract.json
COPY = "copy the package again"


def is_package(path: Path) -> bool:
    """Whether a folder is a package, a damaged one included."""
    return (path / CONTRACT).exists() or (path / WEIGHTS).exists()


def read_contract(package: Path) -> Contract:
    """The contract of a package. Raises LightdetError for one that is missing, damaged or of another schema."""
    path = package / CONTRACT
    try:
        return to_contract(_read_json(path))
    except LightdetError as error:
        raise LightdetError(f"{path}: {error}") from None
    except RecursionError:
        raise LightdetError(f"{path}: too many sections inside of each other") from None


def is_safetensors(file: Path) -> bool:
    """Whether a file, whatever its name, begins as one of safetensors does: its length, then JSON. A file of torch.save
    never does."""
    with open(file, "rb") as content:
        return content.read(9)[8:] == b"{"


def evaluation_folder(model: Path, split: str) -> Path:
    """Where the evaluation of a run or a package goes unless a folder is given: nothing is written into a package."""
    name = f"evaluate-{split}"
    return Path(f"{model.resolve().name}-{name}") if is_package(model) else model / name


def weights_content(package: Path, contract: Contract) -> bytes:
    """The content of the package's weights file. Raises LightdetError unless it is the one that the contract
    describes."""
    path = package / WEIGHTS
    if not path.is_file():
        raise LightdetError(f"{path}: no such file; {COPY}")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != contract.weights_sha256:
        raise LightdetError(f"{path}: its sha256 is not that of {CONTRACT}: damaged, or of another model; {COPY}")
    return content


def _read_json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():  # nor a pipe, whose reader would wait for ever
        raise LightdetError(f"no such file; {COPY}")
    with open(path, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise LightdetError(f"larger than {MOST_BYTES // 2**20} MiB, so no contract of a model package")
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise LightdetError(f"not readable as JSON ({type(error).__name__}); {COPY}") from None
    if not isinstance(content, dict):
        raise LightdetError(f"{shown(content)} is no contract of a model package")
    return content


def _refuse(constant: str) -> None:
    """NaN and the infinities are no JSON."""
    raise ValueError(constant)
