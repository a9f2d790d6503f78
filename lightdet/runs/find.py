"""Finds a run by its folder, its short name, its study's name, or as `last`. No torch here."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.runs.exported import is_exported
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import is_package

LAST = "last"  # a folder of this name is `./last`
RUNS_DIR = Path("runs")  # searched by commands that compose no configuration; trainings have `runs_dir`
DEPTH = 5  # runs_dir/<study of up to two parts>/<row>/s<seed>, and one more
RUN_HELP = "run folder, `last`, or the name of a run, or of a study with one run"  # for commands that take a run
MODEL_HELP = f"exported file, model package, {RUN_HELP}"  # for commands that take a trained model
SHOWN = 8  # choices that an error names


def find_run(named: Path | str, runs_dir: Path = RUNS_DIR) -> RunFolder:
    """Finds one run.

    `named` is `last` (the run under `runs_dir` that started most recently), the path of a run folder, or a folder that
    holds exactly one run: a study, by its path or its name under `runs_dir`, or the folder of a row. The short name of
    a run (`name=`), wherever it lies under `runs_dir`, is accepted too. Raises LightdetError for none or several.
    """
    if str(named) == LAST:
        return last_run(runs_dir)
    for path in (Path(named), runs_dir / named):
        if _is_run(path):
            return RunFolder(path)
        if held := list(runs_below(path)):
            return _only(str(named), held)
    if held := [run for run in runs_below(runs_dir) if run.path.parent.name == str(named)]:
        return _only(str(named), held)
    raise LightdetError(
        f"{named}: no run here; name a run folder .../s<seed>, a study with one run, a run's name, or {LAST}"
    )


def find_model(named: Path | str, runs_dir: Path = RUNS_DIR) -> Path:
    """The exported file or the folder of the model package at the path `named`, or else of the run that `find_run`
    finds."""
    is_model = named != LAST and (is_exported(Path(named)) or is_package(Path(named)))
    return Path(named) if is_model else find_run(named, runs_dir).path


def last_run(runs_dir: Path = RUNS_DIR, without_word: str | None = None) -> RunFolder:
    """The run that started most recently, done or not. Runs whose command had the override `without_word` do not count.

    Raises LightdetError where none has started.
    """
    statuses = {run.path: _status(run) for run in runs_below(runs_dir)}
    started = {
        path: _start(status, RunFolder(path))
        for path, status in statuses.items()
        if without_word is None or without_word not in (status.get("overrides") or [])
    }
    known = {path: start for path, start in started.items() if start[0]}
    if not known:
        raise LightdetError(f"{LAST}: no run has started under {runs_dir}/; name a run folder .../s<seed>")
    return RunFolder(max(known, key=lambda path: known[path]))


def runs_below(folder: Path, depth: int = DEPTH, seen: set[str] | None = None) -> Iterator[RunFolder]:
    """Every run inside a folder, in the order of their paths, at most `depth` levels down; none for no folder.

    A folder to which links lead as well is searched once; `seen` has the searched ones.
    """
    seen = set() if seen is None else seen
    if not depth or not folder.is_dir() or os.path.realpath(folder) in seen:
        return
    seen.add(os.path.realpath(folder))
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if _is_run(path) and os.path.realpath(path) not in seen:
            seen.add(os.path.realpath(path))
            yield RunFolder(path)
        else:
            yield from runs_below(path, depth - 1, seen)


def find_study(given: Path | str, runs_dir: Path = RUNS_DIR) -> Path:
    """The folder of a study, by its path or its name under `runs_dir`. Raises LightdetError where there is none."""
    for folder in (Path(given), runs_dir / given):
        if (folder / "jobs").is_dir():
            return folder
    here = sorted(path.parent.as_posix() for path in runs_dir.glob("**/jobs") if path.is_dir())
    known = f"; there are {', '.join(here[:SHOWN])}" if here else ""
    raise LightdetError(f"{given}: no study there (a study's folder holds jobs/){known}")


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in ("config.yaml", "status.json"))


def _only(named: str, held: Sequence[RunFolder]) -> RunFolder:
    if len(held) > 1:
        choices = ", ".join(run.path.as_posix() for run in held[:SHOWN])
        more = f" and {len(held) - SHOWN} others" if len(held) > SHOWN else ""
        raise LightdetError(f"{named}: {len(held)} runs; name one of {choices}{more}")
    return held[0]


def _start(status: Mapping[str, Any], run: RunFolder) -> tuple[str, int]:
    """When its latest training began, to the second, then by the file that is written first; ("", 0): never."""
    started = status.get("started")
    return (str(started), run.config_path.stat().st_mtime_ns) if started and run.config_path.exists() else ("", 0)


def _status(run: RunFolder) -> dict[str, Any]:
    """The status of a run; {} for one that cannot be opened, which does not hide the other runs."""
    try:
        return run.read_status()
    except OSError:
        return {}
