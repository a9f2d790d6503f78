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
from lightdet.core.files import read_json, sha256_of
from lightdet.runs.contract import Contract, shown, to_contract
from lightdet.runs.exported import is_exported

CONTRACT, WEIGHTS, CARD = "contract.json", "model.safetensors", "README.md"
FILES = (CONTRACT, WEIGHTS, CARD)
METRICS, MEASURED = "metrics.json", "model"  # of an evaluation; its key with the place of what was measured
MOST_BYTES = 2**20  # of contract.json
COPY = "copy the package again"


def is_package(path: Path) -> bool:
    """Whether a folder is a package, a damaged one included."""
    return (path / CONTRACT).exists() or (path / WEIGHTS).exists()


def read_contract(package: Path) -> Contract:
    """The contract of a package. Raises LightdetError for one that is missing, damaged or of another schema."""
    path = package / CONTRACT
    content = _read_json(path)
    try:
        return to_contract(content)
    except LightdetError as error:
        raise LightdetError(f"{path}: {error}") from None
    except RecursionError:
        raise LightdetError(f"{path}: too many sections inside of each other") from None


def is_safetensors(file: Path) -> bool:
    """Whether a file, whatever its name, begins as one of safetensors does: its length, then JSON. A file of torch.save
    never does."""
    with open(file, "rb") as content:
        return content.read(9)[8:] == b"{"


def evaluation_folder(model: Path, split: str, **besides: object) -> Path:
    """Where the evaluation of a run, a package or an exported file goes unless a folder is given: that of a run into
    it, any other into the working directory.

    besides: what it is evaluated with, by the name that the folder then has, such as stage2. Raises LightdetError where
    the folder has the evaluation of another model with the same name.
    """
    name = "-".join(["evaluate", split, *(name for name, given in besides.items() if given)])
    if not is_passed_on(model):
        return model / name
    folder = Path(f"{model.resolve().name}-{name}")
    other = read_json(folder / METRICS).get(MEASURED, str(model.resolve()))
    if other != str(model.resolve()):
        raise LightdetError(f"{folder}: holds the evaluation of {shown(other)}; give another folder, out=FOLDER")
    return folder


def measurement_folder(model: Path) -> Path:
    """The same for the measurement of its explanations."""
    return Path(f"{model.resolve().name}-explain") if is_passed_on(model) else model / "explain"


def is_passed_on(model: Path) -> bool:
    """Whether it is a package or an exported file, into or beside which nothing is written."""
    return is_exported(model) or is_package(model)


def weights_file(package: Path, contract: Contract) -> Path:
    """The package's file of weights. Raises LightdetError unless it is the one that the contract describes."""
    path = _existing(package / WEIGHTS)
    _demand_hash(path, sha256_of(path), contract)
    return path


def weights_content(package: Path, contract: Contract, most: int) -> bytes:
    """The content of that file, of at most so many bytes. Raises LightdetError as `weights_file` does, and for a larger
    file."""
    path = _existing(package / WEIGHTS)
    if path.stat().st_size > most:
        raise LightdetError(f"{path}: larger than the weights of this model can be; {COPY}")
    content = path.read_bytes()
    _demand_hash(path, hashlib.sha256(content).hexdigest(), contract)
    return content


def _existing(path: Path) -> Path:
    """Raises LightdetError for what is no file: a pipe, whose reader would wait for ever, is none either."""
    if not path.is_file():
        raise LightdetError(f"{path}: no such file; {COPY}")
    return path


def _demand_hash(path: Path, sha256: str, contract: Contract) -> None:
    if sha256 != contract.weights_sha256:
        raise LightdetError(f"{path}: its sha256 is not that of {CONTRACT}: damaged, or of another model; {COPY}")


def _read_json(path: Path) -> Mapping[str, Any]:
    with open(_existing(path), "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise LightdetError(f"{path}: larger than {MOST_BYTES // 2**20} MiB, so no contract of a model package")
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise LightdetError(f"{path}: not readable as JSON ({type(error).__name__}); {COPY}") from None
    if not isinstance(content, dict):
        raise LightdetError(f"{path}: {shown(content)} is no contract of a model package")
    return content


def _refuse(constant: str) -> None:
    """NaN and the infinities are no JSON."""
    raise ValueError(constant)
