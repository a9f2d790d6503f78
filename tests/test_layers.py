"""Imports flow downhill: what stands in a later row of LAYERS may import from its own row and from those before it."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lightdet"
LAYERS = (
    ("core",),
    ("config", "ops"),
    ("nn",),
    ("backbone", "neck", "fusion", "attention", "predictor", "readout"),
    ("loss", "assigner", "data", "metric", "optim", "distributed"),
    ("model",),
    ("runs",),
    ("task", "callback", "compress", "distill", "logger", "draw", "doctor"),
    ("runtime",),
    ("engine",),
    ("benchmark", "explain", "export", "report", "study"),
    ("api",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
LEARNS = {"nn", "backbone", "neck", "fusion", "attention", "predictor", "readout", "loss", "assigner", "optim", "model"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def room_of(path: Path) -> str:
    """lightdet/data/image.py -> data; lightdet/run.py -> run."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def rooms_imported(path: Path) -> set[str]:
    """Rooms of this package that a file imports from, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            names.update([f"lightdet.{alias.name}" for alias in node.names] if module == "lightdet" else [module])
    return {name.split(".")[1] for name in names if name.startswith("lightdet.")}


def test_imports_flow_downhill() -> None:
    homeless = sorted({room_of(path) for path in FILES} - set(LEVEL))
    assert not homeless, f"{homeless} have no place in LAYERS and in docs/architecture.md yet"
    uphill = {
        path.relative_to(ROOT).as_posix(): sorted(others)
        for path in FILES
        if (others := {other for other in rooms_imported(path) if LEVEL[other] > LEVEL[room_of(path)]})
    }
    assert not uphill


def test_data_and_model_meet_only_in_the_batch() -> None:
    for path in FILES:
        room, others = room_of(path), rooms_imported(path)
        if room == "data":
            assert not others & LEARNS, f"{path.relative_to(ROOT)} knows of {sorted(others & LEARNS)}"
        elif room in LEARNS:
            assert "data" not in others, f"{path.relative_to(ROOT)} knows of the data"


def test_option_folders_list_nothing() -> None:
    """A new option is a new file: no `__init__` knows the options."""
    for path in PACKAGE.glob("*/**/__init__.py"):
        if path.parent.name == "runtime":
            continue  # a second entrance for users, as the package's own
        assert not ast.parse(path.read_text(encoding="utf-8")).body, f"{path.relative_to(ROOT)} is not empty"


@pytest.mark.parametrize(
    "module",
    [
        "cli.main",
        "api",
        "runs.folder",
        "study.sweep",
        "study.command",
        "study.worker",
        "study.search.command",
        "study.launcher.ray",
        "study.launcher.slurm",
    ],
)
def test_what_runs_before_training_does_without_torch(module: str) -> None:
    script = f"import sys, lightdet.{module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def modules_imported(path: Path) -> set[str]:
    """Modules of this package that a file imports, inside its functions too: "lightdet.data.image", ..."""
    known = {module_of(file) for file in FILES}
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
            names.add(node.module or "")
    return names & known


def module_of(path: Path) -> str:
    """lightdet/data/image.py -> lightdet.data.image."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_no_two_files_import_each_other() -> None:
    """Not even by way of others, and not inside of a function: what is left when files whose imports are all known to
    be free of circles are taken away, again and again, is in a circle or imports one."""
    left = {module_of(path): modules_imported(path) for path in FILES}
    while free := {name for name, imported in left.items() if not imported & left.keys()}:
        left = {name: imported for name, imported in left.items() if name not in free}
    while unused := set(left) - set().union(*left.values()):  # they import a circle and lie outside of it
        left = {name: imported for name, imported in left.items() if name not in unused}
    assert not left, "\n".join(
        f"{name} -> {', '.join(sorted(imported & left.keys()))}" for name, imported in left.items()
    )
