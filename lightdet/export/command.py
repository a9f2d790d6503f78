"""`lightdet export`: pass a trained model on. No torch before a model is written."""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import LightdetError
from lightdet.runs.find import RUN_HELP, find_model
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import is_exported, is_package

FORMATS = ("package", "onnx")


def run(words: Sequence[str]) -> int:
    """Write a finished run's model for others: a package, a folder with its weights, a contract and a model card; or an
    ONNX file that runs without torch, and that is checked against the run before it gets its name."""
    parser = argparse.ArgumentParser("lightdet export", description=run.__doc__)
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("--format", default=FORMATS[0], help=f"{', '.join(FORMATS)} (default: {FORMATS[0]})")
    parser.add_argument("--out", type=Path, help="what is written (default: RUN/package, RUN/model.onnx)")
    parser.add_argument(
        "--open-size", action="store_true", help="onnx: the file takes images of other sizes than the training's, too"
    )
    parser.add_argument("--licence", help="the terms on which others may use the model, for its card")
    parser.add_argument(WORD, action="store_true", help=HELP)
    options = parser.parse_args(words)
    model = find_model(options.run)
    if options.format == "onnx":
        return _onnx(model, options)
    folder, modules = export_run(model, options.format, options.out, options.licence, options.trust_modules)
    print(f"written to {folder}")
    if modules:
        print(f"lightdet: who uses it needs {', '.join(modules)}, which it does not hold, and the word {WORD}")
    return 0


def _onnx(model: Path, options: argparse.Namespace) -> int:
    _require_run(model)
    if missing := [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]:
        raise LightdetError(f"format onnx needs {' and '.join(missing)}: pip install 'lightdet[export]'")
    from lightdet.export.onnx_format import export_onnx, rejection

    out = options.out or model / "model.onnx"
    place, verdict = export_onnx(RunFolder(model), out, options.licence, options.trust_modules, options.open_size)
    print(verdict.as_text())
    if not verdict.passed:
        raise rejection(place, verdict)
    print(f"written to {place}")
    return 0


def _require_run(model: Path) -> None:
    if is_package(model):
        raise LightdetError(f"{model}: a model package already; copy the folder")
    if is_exported(model):
        raise LightdetError(f"{model}: an exported file already; copy it")


def export_run(
    model: Path, kind: str, out: Path | None, licence: str | None, trust_modules: bool
) -> tuple[Path, tuple[str, ...]]:
    """Writes the model of a run in the format `kind`; returns its folder, RUN/<format> where `out` is None, and the
    modules outside lightdet that the model is made of.

    Raises LightdetError for a format that does not exist and a model that cannot be written.
    """
    if kind not in FORMATS:
        raise LightdetError(f"format {kind}: no such format; there is {', '.join(FORMATS)}")
    _require_run(model)
    folder = out or model / kind
    from lightdet.export.package import export_package

    return folder, export_package(RunFolder(model), folder, licence, trust_modules)
