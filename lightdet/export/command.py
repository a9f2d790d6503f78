"""`lightdet export`: pass a trained model on. No torch before a model is written."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import LightdetError
from lightdet.core.options import OptionParser
from lightdet.export.choice import FLOAT32, FOLDER, PACKAGE, format_names, format_of, precision_names, precision_of
from lightdet.export.verdict import Verdict
from lightdet.runs.exported import is_exported
from lightdet.runs.find import RUN_HELP, find_model
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import is_package
from lightdet.runtime.contract import PHOTO, PLACED


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be written.

    out: the file or folder of a single format and precision, the folder of several; None: the run's. open_size and
    photo: see `Source`.
    """

    formats: Sequence[str] = (PACKAGE,)
    precisions: Sequence[str] = (FLOAT32,)
    out: Path | None = None
    licence: str | None = None
    open_size: bool = False
    photo: bool = False
    trust_modules: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: its place; the verdict of a file; the modules outside lightdet that a package needs; the reason
    why nothing was written."""

    place: Path
    verdict: Verdict | None = None
    modules: tuple[str, ...] = ()
    problem: str = ""

    @property
    def failure(self) -> str:
        """What is said of a file that was not made or failed a check; "" of any other."""
        if self.problem:
            return f"{self.place}: {self.problem}"
        if self.verdict is None or self.verdict.passed:
            return ""
        return f"{self.place}: rejected; {'; '.join(self.verdict.reasons())}"


def run(words: Sequence[str]) -> int:
    """Write a finished run's model for others: a package, a folder with its weights, a contract and a model card; or
    files that run without what trained it, each of which is checked against the run before it gets its name."""
    parser = OptionParser("lightdet export", description=run.__doc__)
    parser.add_argument("run", help=RUN_HELP)
    formats, precisions = ", ".join([PACKAGE, *format_names()]), ", ".join(precision_names())
    parser.add_argument("--format", help=f"one or several of {formats} (default: {PACKAGE})")
    parser.add_argument("--precision", help=f"one or several of {precisions} (default: {FLOAT32})")
    parser.add_argument("--out", type=Path, help="what is written, or the folder for several files (default: the run)")
    parser.add_argument(
        "--open-size", action="store_true", help="the file takes images of other sizes than the training's, too"
    )
    parser.add_argument(
        "--input",
        choices=(PLACED, PHOTO),
        default=PLACED,
        help="what a file takes: images that are placed already, and how (default), or one image as it is, of any size",
    )
    parser.add_argument(
        "--for",
        dest="machine",
        choices=(FOLDER,),
        help="try formats and precisions (all, or those named) with 1, 2 and all threads, and keep the fastest file "
        f"that passes its checks, in RUN/{FOLDER}",
    )
    parser.add_argument("--licence", help="the terms on which others may use the model, for its card")
    parser.add_argument(WORD, action="store_true", help=HELP)
    given = parser.parse_args(words)
    asked = Asked(
        given.format.split(",") if given.format else [PACKAGE],
        given.precision.split(",") if given.precision else [FLOAT32],
        given.out,
        given.licence,
        given.open_size,
        given.input == PHOTO,
        given.trust_modules,
    )
    if given.machine:
        print(_best_here(find_model(given.run), asked, bool(given.format), bool(given.precision)))
        return 0
    failed = []
    for written in export_run(find_model(given.run), asked):
        if written.verdict is not None:
            print(written.verdict.as_text())
        if written.failure:
            failed.append(written.failure)
            continue
        print(f"written to {written.place}")
        if written.modules:
            needed = ", ".join(written.modules)
            print(f"lightdet: who uses it needs {needed}, which it does not hold, and the word {WORD}")
    if failed:
        raise LightdetError("; ".join(failed))
    return 0


def _best_here(model: Path, asked: Asked, these_formats: bool, these_precisions: bool) -> str:
    _require_run(model)
    from lightdet.export.best_here import best_here
    from lightdet.export.source import source_of

    for number in asked.precisions:
        precision_of(number)
    source = source_of(RunFolder(model), asked.trust_modules, asked.open_size, asked.licence, asked.photo)
    formats, precisions = asked.formats if these_formats else (), asked.precisions if these_precisions else ()
    out = asked.out or model / FOLDER
    return best_here(source, out, formats, precisions, lambda words: print(words, file=sys.stderr))


def _require_run(model: Path) -> None:
    if is_package(model):
        raise LightdetError(f"{model}: a model package already; copy the folder")
    if is_exported(model):
        raise LightdetError(f"{model}: an exported file already; copy it")


def export_run(model: Path, asked: Asked) -> Iterator[Written]:
    """Writes the model of a run in every format and precision, one after another.

    Raises LightdetError, before anything is written, for a format or precision that does not exist, for a place that
    is taken, and for a run without results or data.
    """
    _require_run(model)
    if asked.photo and asked.open_size:
        raise LightdetError("--input photo takes images of any size, which it scales to the training's: no --open-size")
    files = _files(asked)
    several = len(asked.formats) * len(asked.precisions) > 1
    folder = model if asked.out is None else asked.out
    run_folder = RunFolder(model)
    if PACKAGE in asked.formats:
        from lightdet.export.package import export_package

        place = folder if asked.out is not None and not several else folder / PACKAGE
        yield Written(place, None, export_package(run_folder, place, asked.licence, asked.trust_modules))
    if not files:
        return
    from lightdet.export.gate import Gate
    from lightdet.export.source import source_of
    from lightdet.export.write import require_free, write_checked

    stem = "model-photo" if asked.photo else "model"
    outs = [
        folder / f"{stem}{'' if number == FLOAT32 else f'-{number}'}{format_of(form).ending}" for form, number in files
    ]
    if asked.out is not None and not several:
        outs = [asked.out]
    for (form, _), out in zip(files, outs, strict=True):
        require_free(out, run_folder, format_of(form))
    source = source_of(run_folder, asked.trust_modules, asked.open_size, asked.licence, asked.photo)
    gate = Gate(source)
    for (form, number), out in zip(files, outs, strict=True):
        try:
            yield Written(*write_checked(source, gate, form, number, out))
        except LightdetError as error:  # the other formats may have this model
            yield Written(out, problem=str(error))


def _files(asked: Asked) -> list[tuple[str, str]]:
    """The pairs of format and precision; those that do not exist are told. Raises LightdetError for a name that is
    none, and for a format that has nothing of what was asked for."""
    for number in asked.precisions:
        precision_of(number)
    found = []
    for form in (form for form in asked.formats if form != PACKAGE):
        has = format_of(form).precisions
        pairs = [(form, number) for number in asked.precisions if number in has]
        missing = ", ".join(number for number in asked.precisions if number not in has)
        if not pairs:
            raise LightdetError(f"format {form} has no {missing}; it has {', '.join(has)}")
        if asked.photo and not format_of(form).photo:
            raise LightdetError(f"format {form} has no --input photo; leave it out")
        if missing:
            print(f"lightdet: format {form} has no {missing}; left out", file=sys.stderr)
        found += pairs
    return found
