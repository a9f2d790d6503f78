"""`lightdet export`: pass a trained model on. No torch before a model is written."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import LightdetError
from lightdet.runs.find import RUN_HELP, find_model
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import is_package

FORMATS = ("package",)


def run(words: Sequence[str]) -> int:
    """Write a finished run's model for others: a folder with its weights, a contract and a model card, without code."""
    parser = argparse.ArgumentParser("lightdet export", description=run.__doc__)
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("--format", default=FORMATS[0], help=f"{', '.join(FORMATS)} (default: {FORMATS[0]})")
    parser.add_argument("--out", type=Path, help="the folder that is written (default: RUN/package)")
    parser.add_argument("--licence", help="the terms on which others may use the model, for its card")
    parser.add_argument(WORD, action="store_true", help=HELP)
    options = parser.parse_args(words)
    model = find_model(options.run)
    folder, modules = export_run(model, options.format, options.out, options.licence, options.trust_modules)
    print(f"written to {folder}")
    if modules:
        print(f"lightdet: who uses it needs {', '.join(modules)}, which it does not hold, and the word {WORD}")
    return 0


def export_run(
    model: Path, kind: str, out: Path | None, licence: str | None, trust_modules: bool
) -> tuple[Path, tuple[str, ...]]:
    """Writes the model of a run in the format `kind`; returns its folder, RUN/<format> where `out` is None, and the
    modules outside lightdet that the model is made of.

    Raises LightdetError for a format that does not exist and a model that cannot be written.
    """
    if kind not in FORMATS:
        raise LightdetError(f"format {kind}: no such format; there is {', '.join(FORMATS)}")
    if is_package(model):
        raise LightdetError(f"{model}: a model package already; copy the folder")
    folder = out or model / kind
    from lightdet.export.package import export_package

    return folder, export_package(RunFolder(model), folder, licence, trust_modules)
