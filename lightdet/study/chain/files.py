"""The exported files of a chain's runs: made and judged once, and timed beside each other in one process."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.cores import cores
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.core.timing import interleaved
from lightdet.data.image import read_image
from lightdet.export.choice import FLOAT32, format_of
from lightdet.export.gate import Gate
from lightdet.export.source import Source, source_of
from lightdet.export.write import rejected, verdicts, write_checked
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import finite, inside
from lightdet.runtime.session import Exported, placing

ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Made:
    """A file, or why there is none. score: what it reaches on the validation images; None: its checks did not come so
    far."""

    place: Path | None
    passed: bool
    verdict: str
    score: float | None = None

    @property
    def size(self) -> int | None:
        """Bytes of the file, with its weights where they lie beside it."""
        if self.place is None:
            return None
        parts = {self.place, self.place.with_suffix(".bin")}
        return sum(part.stat().st_size for part in parts if part.is_file())


class Maker:
    """Makes files of runs; what is loaded of a run serves all of its files."""

    def __init__(self, form: str, trust_modules: bool) -> None:
        self.form, self.trust_modules = form, trust_modules
        self._gates: dict[Path, tuple[Source, Gate]] = {}

    def source(self, run: RunFolder) -> Source:
        return self._of(run)[0]

    def make(self, run: RunFolder, folder: Path, precision: str, name: str = "model") -> Made:
        """The file of a run in `folder`, as an earlier call left it, or made and judged now."""
        stem = name if precision == FLOAT32 else f"{name}-{precision}"
        out = folder / f"{stem}{format_of(self.form).ending}"
        if (known := _known(run, out)) is not None:
            return known
        print(f"lightdet: {out} is made and judged", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            place, verdict = write_checked(*self._of(run), self.form, precision, out)
        except LightdetError as error:
            return Made(None, False, str(error))
        return _made(place, verdict.as_json())

    def _of(self, run: RunFolder) -> tuple[Source, Gate]:
        if run.path not in self._gates:
            source = source_of(run, self.trust_modules)
            self._gates = {run.path: (source, Gate(source))}  # of one run at a time
        return self._gates[run.path]


def _known(run: RunFolder, out: Path) -> Made | None:
    """An earlier file of this run with its verdict."""
    for place in (out, rejected(out)):
        try:
            told = read_json(verdicts(place)[0])
            same = told and Exported(place).contract.content["hashes"]["run"] == run.read_status().get("fingerprint")
        except (LightdetError, OSError):
            continue
        if same:
            return _made(place, told)
    return None


def _made(place: Path, verdict: Mapping[str, Any]) -> Made:
    listed = verdict.get("checks")
    checks = [check for check in listed if isinstance(check, dict)] if isinstance(listed, list) else []
    scores = [score for check in checks if (score := finite(inside(check, "numbers", "file"))) is not None]
    failed = [f"{check.get('name')}: {check.get('found')}" for check in checks if check.get("passed") is not True]
    passed = verdict.get("passed") is True and not failed
    return Made(place, passed, "passed" if passed else f"rejected: {'; '.join(failed)}", next(iter(scores), None))


def timed(files: Mapping[str, Path], source: Source) -> tuple[dict[str, list[float]], int]:
    """Milliseconds of one validation image of `source` in every round, each round running every file once; and the
    threads, all that this process may use."""
    threads = cores()
    record = source.data.records[source.split][0]
    pixels = read_image(record.path, record.bits)
    calls = {name: _call(Exported(path, threads), pixels) for name, path in files.items()}
    print(f"lightdet: {len(calls)} files are timed, {ROUNDS} rounds", flush=True)
    return interleaved(calls, ROUNDS), threads


def _call(file: Exported, pixels: np.ndarray) -> Any:
    image, letterbox = file.place(pixels)
    return partial(file.run, image[None], placing(letterbox)[None])
