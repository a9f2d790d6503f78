"""What can be exported: a file of `formats/` for each format, one of `precisions/` for each precision. No torch here.

Both are found by the name of their file; nothing else lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightdet.core.errors import LightdetError
from lightdet.core.named import named
from lightdet.export.budget import Budget

if TYPE_CHECKING:
    import onnx

    from lightdet.export.source import Source

PACKAGE, FLOAT32 = "package", "float32"
FOLDER = "this-machine"  # of a run, with the fastest file of the machine that chose it


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of exported file.

    ending: of its main file; other files lie beside it under the same stem. needs: modules that make and run it.
    install: how to get them. precisions: names of those that it can have. write(source, precision, contract, path):
    makes the files, with the contract in the metadata of the main one; raises LightdetError for a model without that
    form. photo: whether the letterbox can be inside. selects: boxes are selected inside the file; else
    `lightdet.runtime` does it. one_image: its files take one image at a time.
    """

    ending: str
    needs: tuple[str, ...]
    install: str
    precisions: tuple[str, ...]
    write: Callable[[Source, str, Mapping[str, Any], Path], None]
    photo: bool = False
    selects: bool = True
    one_image: bool = False


@dataclass(frozen=True, slots=True)
class Precision:
    """Numbers of a file: what it may lose, and the function that gives them to an ONNX graph.

    convert(graph, source, ending): the graph with other numbers for the runtime of files with this ending, and what the
    contract tells of it besides its name. Formats that are not made from an ONNX graph read the budget alone.
    """

    budget: Budget
    convert: Callable[[onnx.ModelProto, Source, str], tuple[onnx.ModelProto, dict[str, Any]]]


def format_names() -> list[str]:
    """The formats of files, `package` not among them."""
    return _names("formats")


def precision_names() -> list[str]:
    return _names("precisions")


def format_of(name: str) -> Format:
    """Raises LightdetError for a format that does not exist, and for one whose modules are not installed."""
    if name not in format_names():
        raise LightdetError(f"format {name}: no such format; there is {', '.join([PACKAGE, *format_names()])}")
    found: Format = named(f"lightdet.export.formats.{name}:FORMAT")
    if missing := [module for module in found.needs if find_spec(module) is None]:
        raise LightdetError(f"format {name} needs {' and '.join(missing)}: {found.install}")
    return found


def precision_of(name: str) -> Precision:
    """Raises LightdetError for a precision that does not exist."""
    if name not in precision_names():
        raise LightdetError(f"precision {name}: no such precision; there is {', '.join(precision_names())}")
    found: Precision = named(f"lightdet.export.precisions.{name}:PRECISION")
    return found


def _names(folder: str) -> list[str]:
    files = Path(__file__).with_name(folder).glob("*.py")
    return sorted(path.stem for path in files if path.stem != "__init__")
