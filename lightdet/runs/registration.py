"""Registers the jobs of a command and assigns each a run folder.

`runs_dir/<study>/jobs/<slug>__s<seed>.json` is a row; `runs_dir/<study>/<slug>/s<seed>/` is a run. Rows whose resolved
settings are equal point to the same run. A study is what its files say: a process that dies leaves nothing behind that
the same command could not continue. No torch here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.core.errors import LightdetError, one_line
from lightdet.core.files import read_json, write_json, write_text
from lightdet.runs.commands import study_lock
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.folder import RunFolder
from lightdet.runs.names import chosen, run_name
from lightdet.runs.row_names import counted, row_slugs
from lightdet.runs.start_weights import bring_weights, settle_weights


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One job as the command line requests it."""

    overrides: list[str]
    number: int  # its place among the jobs of the command
    seed: Any
    slug: str  # folder name that its seeds share; "": it gets one when it is registered
    fingerprint: str  # of the training; empty when the settings are incomplete
    choices: dict[str, Any]
    request: str  # the composed configuration as YAML, interpolations kept: paths are resolved where it is trained
    trouble: str = ""  # why the settings are incomplete

    @property
    def name(self) -> str:
        """Unique in a study, once the slug is known."""
        return f"{self.slug}__s{self.seed}"


def request_job(cfg: DictConfig, overrides: list[str], number: int = 0, name: str | None = None) -> JobRequest:
    """The request of a composed configuration; one that lacks a value carries its trouble.

    `name` is the folder's name; None: the configuration's `name`, or, where that is null, one made from the overrides.
    Raises LightdetError for a `name` that is no folder name.
    """
    slug = run_name(cfg.get("name")) if name is None else name
    bare = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    try:
        bare = settle_weights(bare)
        of_training, choices, trouble = fingerprint(bare), chosen(cfg), ""
    except LightdetError as error:
        of_training, choices, trouble = "", {}, one_line(error)
    return JobRequest(overrides, number, cfg.seed, slug, of_training, choices, OmegaConf.to_yaml(bare), trouble)


def named(study_path: Path, requests: Sequence[JobRequest]) -> list[JobRequest]:
    """The requests of one command under the names that their rows have, or will get, in the study."""
    return _named(requests, _read_notes(study_path))


def register(runs_dir: Path, study: str, requests: Sequence[JobRequest]) -> list[RunFolder | None]:
    """Write the rows, claim a folder for each new training, and give the folder of every row, in order.

    None stands for a row without a run, because its settings are incomplete. A folder of another training is never
    touched. What is there already is not written again, so a thousand finished rows cost a look at each; and it keeps
    its place, so that no later command takes the first row, the baseline of reports, from the earlier one.
    """
    study_path = runs_dir / study
    with study_lock(study_path):
        known: dict[Any, RunFolder] = {}
        for path in sorted(study_path.glob("*/s*/status.json")):
            known[read_json(path).get("fingerprint")] = RunFolder(path.parent)
        noted = _read_notes(study_path)
        rows = _named(requests, noted)
        folders: list[RunFolder | None] = []
        for row, place in zip(rows, _places(rows, noted), strict=True):
            folder = None
            if row.fingerprint:
                folder = known.get(row.fingerprint) or _claim(study_path, study, row)
                known[row.fingerprint] = folder
                if not folder.is_done():
                    _renew(folder, row.request)
            facts = _facts(study_path, row, folder, place)
            if noted.get(row.name) != facts:
                write_json(study_path / "jobs" / f"{row.name}.json", facts)
            folders.append(folder)
        return folders


def _named(requests: Sequence[JobRequest], noted: Mapping[str, Mapping[str, Any]]) -> list[JobRequest]:
    slugs = row_slugs([(counted(request.overrides), request.slug) for request in requests], noted)
    return [replace(request, slug=slug) for request, slug in zip(requests, slugs, strict=True)]


def _read_notes(study_path: Path) -> dict[str, dict[str, Any]]:
    """What is noted of each row of the study, by its name."""
    return {path.stem: _read_note(path) for path in sorted((study_path / "jobs").glob("*.json"))}


def _read_note(path: Path) -> dict[str, Any]:
    """What is noted of a row; {} for a broken file, which does not keep other rows away."""
    try:
        return read_json(path)
    except LightdetError:
        return {}


def _places(requests: Sequence[JobRequest], noted: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """A place in the study for each row: the one that it has, else its number, else, where that is taken, behind all
    others. `noted`: facts of the rows that exist, by name."""
    places = {name: facts["number"] for name, facts in noted.items() if isinstance(facts.get("number"), int)}
    taken = set(places.values())
    for row in requests:
        place = places.setdefault(row.name, row.number if row.number not in taken else max(taken) + 1)
        taken.add(place)
    return [places[row.name] for row in requests]


def _claim(study_path: Path, study: str, row: JobRequest) -> RunFolder:
    """A folder that no other training has."""
    names = [row.slug, f"{row.slug}-{row.fingerprint[:6]}", f"{row.slug}-{row.fingerprint[:16]}"]
    folders = [RunFolder(study_path / name / f"s{row.seed}") for name in names]
    folder = next(folder for folder in folders if not folder.status_path.exists())
    write_text(folder.request_path, row.request)
    write_text(folder.overrides_path, OmegaConf.to_yaml(OmegaConf.create(row.overrides)))
    folder.write_status(
        "queued",
        fingerprint=row.fingerprint,
        study=study,
        slug=folder.path.parent.name,
        seed=row.seed,
        choices=row.choices,
        overrides=row.overrides,
    )
    return folder


def _facts(study_path: Path, row: JobRequest, folder: RunFolder | None, place: int) -> dict[str, Any]:
    """What is noted of a row."""
    facts: dict[str, Any] = {
        "overrides": row.overrides,
        "choices": row.choices,
        "seed": row.seed,
        "number": place,
    }
    if folder is None:
        return facts | {"state": "failed", "reason": row.trouble}
    return facts | {"fingerprint": row.fingerprint, "run": folder.path.relative_to(study_path).as_posix()}


def _renew(folder: RunFolder, request: str) -> None:
    """Give a run that is not done the request of today, and the weights that it starts from."""
    if not folder.request_path.exists() or folder.request_path.read_text(encoding="utf-8") != request:
        write_text(folder.request_path, request)
    settled = OmegaConf.create(request)
    assert isinstance(settled, DictConfig)
    bring_weights(settled, folder)
