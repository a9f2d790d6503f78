"""What a file for torch may hold before torch opens it: numbers, and operations on tensors. No torch here.

torch.export reads pickles, looks up any function that a graph names, and evaluates the text of its sizes; TorchScript
can read and write files. A file that lightdet wrote has none of these, and any other is refused.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown

MOST_TEXT = 64 * 2**20  # bytes of a graph
PROGRAM = re.compile(
    r"[^/]+/(data/(weights|constants)/((weight|tensor)_\d+|[\w.]+_config\.json)|data/sample_inputs/[\w.]+"
    r"|models/[\w.]+\.json|extra/lightdet\.json|archive_format|archive_version|byteorder|\.data/\w+)"
)
OPERATION = re.compile(
    r"torch\.ops\.(aten|torchvision)\.\w+\.\w+|torch\.sym_\w+|math\.(ceil|floor|trunc)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|and_|or_|eq|ne|lt|le|gt|ge)"
)
SIZE = re.compile(
    r"(Symbol\('[su]\d+'(, (positive|nonnegative|integer)=True)*\)"
    r"|[su]\d+|Min|Max|FloorDiv|Mod|PythonMod|CeilToInt|FloorToInt|Integer\(|[\s\d()*+/,-])*"
)
SCRIPT = re.compile(
    r"[^/]+/(data/\d+|constants/\d+|traced_inputs/\d+|(data|constants|traced_inputs)\.pkl|code/__torch__[\w./]*"
    r"\.py(\.debug_pkl)?|extra/lightdet\.json|version|byteorder|\.data/\w+)"
)
CALLED = re.compile(r"\b(torch|ops\.\w+|profiler|cuda)\.(\w+)\(")
SPACES = ("torch", "ops.prim", "ops.torchvision", "ops.aten")
OUTSIDE = ("from_file", "save", "load", "warn")  # of torch's operations: they reach beyond tensors
CLASSES = b"torch.classes"  # objects of C++, which a pickle of TorchScript can make


def check_program(path: Path) -> None:
    """Raises LightdetError for a .pt2 that holds more than weights and a graph of tensor operations."""
    for name, content in _entries(path, PROGRAM):
        if "/data/sample_inputs/" in name:
            _demand(not content(), path, "an example, which torch would unpickle")
        elif name.endswith("_config.json") or "/models/" in name:
            for key, value in _values(_json(path, content())):
                _demand(key != "use_pickle" or value is False, path, "a pickle")
                if key in ("target", "as_operator") and isinstance(value, str):
                    _demand(OPERATION.fullmatch(value) is not None, path, f"the operation {value}")
                if key == "expr_str" and isinstance(value, str):
                    _demand(SIZE.fullmatch(value) is not None, path, f"the size {value}")


def check_torchscript(path: Path) -> None:
    """Raises LightdetError for a .torchscript that holds more than weights and operations on tensors."""
    for name, content in _entries(path, SCRIPT):
        if name.endswith(".pkl"):
            _demand(CLASSES not in content(), path, "an object of C++")
        elif name.endswith(".py"):
            text = content().decode("utf-8", "replace")
            _demand("torch.classes" not in text, path, "an object of C++")
            for space, called in CALLED.findall(text):
                _demand(space in SPACES and called not in OUTSIDE, path, f"the operation {space}.{called}")


def _entries(path: Path, allowed: re.Pattern[str]) -> Iterator[tuple[str, Any]]:
    """The name of each part of the archive, and a function that reads it."""
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                _demand(allowed.fullmatch(info.filename) is not None, path, f"the part {info.filename}")
                whole = info.compress_type == zipfile.ZIP_STORED and "/data/" in info.filename
                _demand(whole or info.file_size < MOST_TEXT, path, "a graph of that size")
                yield info.filename, lambda info=info: archive.read(info)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise LightdetError(f"{path}: torch cannot read this file ({shown(str(error)[:200])})") from error


def _json(path: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise LightdetError(f"{path}: torch cannot read this file ({type(error).__name__})") from error


def _values(node: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    left = [node]
    while left:
        inside = left.pop()
        if isinstance(inside, dict):
            yield from inside.items()
            left += inside.values()
        elif isinstance(inside, list):
            left += inside


def _demand(right: bool, path: Path, what: str) -> None:
    if not right:
        raise LightdetError(f"{path}: holds {shown(what[:200])}, as no file that lightdet writes; it is not opened")
