"""What a command asks for: a row of a study, and the run that will answer it.

`runs_dir/<study>/jobs/<slug>__s<seed>.json` is a row; `runs_dir/<study>/<slug>/s<seed>/` is a run. Rows whose resolved
settings are equal point to the same run. The files are the truth about a study: a process that dies leaves nothing
behind that the same command could not continue. No torch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.disk import read_json, write_json, write_text
from lightdet.error import LightdetError, one_line
from lightdet.identity import fingerprint, slug
from lightdet.run import RunFolder
from lightdet.study.definition import study_lock
from lightdet.study.names import chosen


@dataclass(frozen=True, slots=True)
class Asked:
    """One row as the command line asked for it."""

    overrides: list[str]
    number: int  # its place in the sweep
    seed: Any
    slug: str
    identity: str  # which training; empty when the settings are incomplete
    choices: dict[str, Any]
    request: str  # the composed configuration as YAML, interpolations kept: paths are found where it is trained
    trouble: str = ""  # why the settings are incomplete

    @property
    def name(self) -> str:
        """Unique in a study."""
        return f"{self.slug}__s{self.seed}"


def ask(cfg: DictConfig, overrides: list[str], number: int = 0) -> Asked:
    """What a composed configuration asks for; one that lacks a value is an Asked with its trouble."""
    bare = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    try:
        identity, choices, trouble = fingerprint(cfg), chosen(cfg), ""
    except LightdetError as error:
        identity, choices, trouble = "", {}, one_line(error)
    return Asked(overrides, number, cfg.seed, slug(overrides), identity, choices, OmegaConf.to_yaml(bare), trouble)


def register(runs_dir: Path, study: str, asked: Sequence[Asked]) -> list[RunFolder | None]:
    """Write the rows, claim a folder for each new training, and give the folder of every row, in order.

    None stands for a row without a run, because its settings are incomplete. A folder of another training is never
    touched. What is there already is not written again, so a thousand finished rows cost a look at each.
    """
    study_path = runs_dir / study
    with study_lock(study_path):
        known: dict[Any, RunFolder] = {}
        for path in sorted(study_path.glob("*/s*/status.json")):
            known[read_json(path).get("fingerprint")] = RunFolder(path.parent)
        folders: list[RunFolder | None] = []
        for row in asked:
            folder = None
            if row.identity:
                folder = known.get(row.identity) or _claim(study_path, study, row)
                known[row.identity] = folder
                if folder.read_status().get("state") != "done":
                    _renew(folder.request_path, row.request)
            _note(study_path, row, folder)
            folders.append(folder)
        return folders


def _claim(study_path: Path, study: str, row: Asked) -> RunFolder:
    """A folder that no other training has."""
    names = [row.slug, f"{row.slug}-{row.identity[:6]}", f"{row.slug}-{row.identity[:16]}"]
    folders = [RunFolder(study_path / name / f"s{row.seed}") for name in names]
    folder = next(folder for folder in folders if not folder.status_path.exists())
    write_text(folder.request_path, row.request)
    write_text(folder.overrides_path, OmegaConf.to_yaml(OmegaConf.create(row.overrides)))
    folder.write_status(
        "queued",
        fingerprint=row.identity,
        study=study,
        slug=folder.path.parent.name,
        seed=row.seed,
        choices=row.choices,
        overrides=row.overrides,
    )
    return folder


def _note(study_path: Path, row: Asked, folder: RunFolder | None) -> None:
    path = study_path / "jobs" / f"{row.name}.json"
    facts: dict[str, Any] = {
        "overrides": row.overrides,
        "choices": row.choices,
        "seed": row.seed,
        "number": row.number,
    }
    if folder is None:
        facts |= {"state": "failed", "reason": row.trouble}
    else:
        facts |= {"fingerprint": row.identity, "run": folder.path.relative_to(study_path).as_posix()}
    if read_json(path) != facts:
        write_json(path, facts)


def _renew(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
