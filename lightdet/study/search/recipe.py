"""The settings of a trial as a configuration file for `lightdet train`. No torch here."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from lightdet.config.compose import compose_job
from lightdet.config.names import counts
from lightdet.core.files import write_text
from lightdet.core.paths import named_inside

FOLDER = "recipe"  # in the study's folder: a config group
ELSEWHERE = ("study", "launcher", "runs_dir")  # where and how the trials were trained


def command(words: Sequence[str], config_dir: Path | None) -> str:
    """The command that trains the overrides `words` again."""
    kept = [word for word in words if word.lstrip("+~").partition("=")[0].partition(".")[0] not in ELSEWHERE]
    folder = ["--config-dir", str(config_dir)] if config_dir else []
    return shlex.join(["lightdet", "train", *folder, *kept])


def write_recipes(
    study_path: Path, trials: Mapping[str, tuple[Sequence[str], str]], config_dir: Path | None
) -> dict[str, str]:
    """Writes a file per name -> (overrides, values reached) and deletes other ones; returns the command for each."""
    folder = named_inside(study_path, FOLDER, "search")
    for path in folder.glob("*.yaml"):
        if path.stem not in trials:
            path.unlink()
    commands = {}
    for name, (words, reached) in trials.items():
        text = recipe(words, compose_job(words, config_dir).hydra.runtime.choices)
        comment = f"# {reached}\n# {command(words, config_dir)}\n"
        write_text(folder / f"{name}.yaml", f"# @package _global_\n{comment}{text}")
        commands[name] = f"lightdet train --config-dir {shlex.quote(str(study_path))} {FOLDER}={name}"
    return commands


def recipe(words: Sequence[str], groups: Mapping[str, Any]) -> str:
    """Overrides as YAML with a defaults list; deletions, which YAML cannot express, become comments."""
    defaults: list[Any] = []
    values = OmegaConf.create({})
    deleted: list[str] = []
    for override in OverridesParser.create().parse_overrides(overrides=list(words)):
        key = override.get_key_element().lstrip("+~")
        if not counts(key) and key != "seed":
            continue
        if override.is_delete():
            deleted.append(f"# and on the command line: {override.input_line}\n")
        elif key == FOLDER:
            defaults.insert(0, str(override.value()))  # a recipe based on another one
        elif key in groups:
            defaults.append({f"/{key}" if override.is_add() else f"override /{key}": override.value()})
        else:
            OmegaConf.update(values, key, override.value(), force_add=True)
    listed = OmegaConf.to_yaml(OmegaConf.create({"defaults": [*defaults, "_self_"]}))
    return "".join(deleted) + listed + (OmegaConf.to_yaml(values) if values else "")
