"""Writes an exported file, judges it, and gives it its name or that of a rejected one: the same for every format."""

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json, write_text
from lightdet.export.choice import Format, format_of, precision_of
from lightdet.export.gate import Gate
from lightdet.export.origin import hashes_of
from lightdet.export.source import Source
from lightdet.export.verdict import Verdict
from lightdet.runs.folder import RunFolder
from lightdet.runtime.session import Exported

REJECTED = "rejected"


def write_checked(source: Source, gate: Gate, form: str, precision: str, out: Path) -> tuple[Path, Verdict]:
    """Writes the file `out` and those that belong to it; returns where it lies, and its verdict, which lies beside it
    as JSON and HTML under the file's name.

    A file that fails a check is kept as <stem>.rejected<ending>; an earlier file of the same run under the name that
    was asked for stays. Raises LightdetError for an `out` that is anything but an earlier export of this run,
    and for a model that has no such form.
    """
    made = format_of(form)
    require_free(out, source.run, made)
    new = out.with_name(f".{out.stem}.{os.getpid()}.tmp") / out.name
    shutil.rmtree(new.parent, ignore_errors=True)  # of a dead process that had this number
    new.parent.mkdir(parents=True)
    try:
        made.write(source, precision, source.contract(form, precision, made.selects, made.one_image), new)
        verdict = gate.judge(Exported(new), f"{form}, {precision}", precision_of(precision).budget)
        place = out if verdict.passed else rejected(out)
        for stale in {rejected(out), place}:
            remove(stale)
        for part in sorted(new.parent.iterdir(), key=lambda path: path.name == new.name):  # the main file last
            part.replace(place.with_name(place.stem + part.name.removeprefix(new.stem)))
    finally:
        shutil.rmtree(new.parent, ignore_errors=True)
    verdict = replace(verdict, file=place.name)
    as_json, as_html = verdicts(place)
    write_json(as_json, verdict.as_json())
    write_text(as_html, verdict.as_html())
    return place, verdict


def rejected(out: Path) -> Path:
    """Where a file lies that was to be `out` and failed."""
    return out.with_name(f"{out.stem}.{REJECTED}{out.suffix}")


def verdicts(place: Path) -> tuple[Path, Path]:
    """The verdict of a file, as JSON and as a page."""
    return place.with_name(f"{place.name}.verdict.json"), place.with_name(f"{place.name}.verdict.html")


def remove(place: Path) -> None:
    """Removes a file with its verdict."""
    for path in (*verdicts(place), place):
        path.unlink(missing_ok=True)


def require_free(out: Path, run: RunFolder, form: Format) -> None:
    """Raises LightdetError for a name with another ending, and for a file that is no export of this run."""
    if not out.name.lower().endswith(form.ending):
        raise LightdetError(f"--out {out}: the name of a file that ends in {form.ending} belongs here")
    if out.is_symlink() or out.exists():
        same = False
        with suppress(LightdetError):
            known = hashes_of(run)["run"]
            same = not out.is_symlink() and bool(known) and Exported(out).contract.content["hashes"]["run"] == known
        if not same:
            raise LightdetError(f"{out}: exists and is no earlier export of this run; give another name, --out")
