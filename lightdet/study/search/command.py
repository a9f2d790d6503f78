"""Command line of `lightdet search`. Optuna is imported when a search begins, torch never."""

import argparse
import re
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lightdet.config.compose import compose_job
from lightdet.config.conf_folder import conf_folder
from lightdet.config.names import slug
from lightdet.config.tree import digest
from lightdet.core.errors import LightdetError, demand_whole
from lightdet.core.options import OptionParser
from lightdet.engine.work import TRAINING
from lightdet.runs.commands import add_command
from lightdet.runs.fingerprint import fingerprint
from lightdet.runs.jobs import read_jobs
from lightdet.runs.names import study_name
from lightdet.runs.table import write_tables
from lightdet.study.sweep import ON_ERROR

COUNTS = {"trials": 1, "startup": 0, "batch": 1, "failures": 1, "attempts": 1}  # settings with their minimum


def run(words: Sequence[str], train: str = TRAINING) -> int:
    """Searches until the budget is spent. Exit code: 0, 1 when failures stopped it, 2 for bad input."""
    options = parse(words)
    spaces = [word for word in options.word if "=" not in word and not word.startswith("~")]
    known = ", ".join(sorted(path.stem for path in (conf_folder() / "search").glob("*.yaml") if path.stem != "base"))
    if len(spaces) != 1:
        raise LightdetError(f"name one search space: {known}, or a file of --config-dir FOLDER/search/")
    if find_spec("optuna") is None:
        raise LightdetError("a search needs Optuna: pip install '.[tune]' in the clone")
    renamed = [re.sub(r"^study=", "study.name=", word) for word in options.word if word not in spaces]
    settings = [word for word in renamed if re.match(r"[+~]*search[./@]", word)]
    words = [word for word in renamed if word not in settings]
    return _search(spaces[0], words, settings, options.config_dir, train)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The parsed arguments. Raises LightdetError for unknown ones."""
    parser = OptionParser(
        "lightdet search",
        description="Searches for the best settings: each trial is a job and a run of a study, trained by its "
        "launcher. The same command again continues; in a second shell, or on a second machine that shares the "
        "study's folder, it is a second worker on the same trials.",
        epilog="example: lightdet search recipe data=neu_det trainer.max_epochs=15 study=NAME search.trials=40 "
        "search/sampler=random search/pruner=none",
    )
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder with further options, search/*.yaml included")
    parser.add_argument("word", nargs="*", help="the search space, and overrides as for train: key=value")
    return parser.parse_intermixed_args(words)


def _search(space_name: str, words: list[str], settings: list[str], config_dir: Path | None, train: str) -> int:
    from lightdet.study.search.declared import declared_scores
    from lightdet.study.search.loop import Worker
    from lightdet.study.search.objective import read_objectives
    from lightdet.study.search.result_files import write_result_files
    from lightdet.study.search.space import check_space, read_space
    from lightdet.study.search.trials import Search, TrialStore
    from lightdet.study.search.watch import epoch_metric

    cfg = _compose(space_name, words, settings, config_dir)
    space = read_space(_plain(cfg.search.parameters))
    base = check_space(space, words, config_dir)
    name = study_name(cfg.study.name or "__".join(["search", space_name, slug(words)]))
    study_path = Path(cfg.runs_dir) / name
    objectives = read_objectives(cfg.search, partial(declared_scores, study_path, words, config_dir))
    definition = {
        "search.parameters": digest(_plain(cfg.search.parameters)),
        "search.objectives": digest([(objective.name, objective.direction) for objective in objectives]),
        "fixed settings": fingerprint(base),
    }
    launcher = instantiate(cfg.launcher)
    store = TrialStore(Search(name, study_path, space, objectives, cfg.search, definition))
    add_command(study_path, [f"+search={space_name}", *words, *settings])
    _print_pruning(cfg.search, epoch_metric(store))
    limit = 1 if cfg.study.on_error == "stop" else int(cfg.search.failures)
    worker = Worker(store, launcher, Path(cfg.runs_dir), words, config_dir, train, bool(cfg.study.retry), limit)
    try:
        finished = worker.work()
    finally:
        write_tables(study_path, read_jobs(study_path))
        facts = write_result_files(store)
    print(f"\n{_summary(facts, words, study_path, config_dir)}")
    print(f"lightdet: {study_path}/search.csv lists the trials; `lightdet report {study_path}` plots them", flush=True)
    if not finished:
        last = store.failed_in_a_row()[-1]
        why = f"the last, trial {last.number}: {last.user_attrs.get('reason')}"
        where = f"`lightdet study {study_path}` lists the tracebacks"
        print(f"lightdet: stopped: {limit} consecutive trials failed; {why}; {where}", file=sys.stderr)
    return 0 if finished else 1


def _compose(space_name: str, words: Sequence[str], settings: Sequence[str], config_dir: Path | None) -> DictConfig:
    """The configuration with the group `search`. Raises LightdetError for bad input."""
    cfg = compose_job([f"+search={space_name}", *words, *settings], config_dir)
    if missing := sorted(OmegaConf.missing_keys(cfg.search)):
        raise LightdetError(f"no value for {', '.join(missing)}")
    if cfg.study.on_error not in ON_ERROR:
        raise LightdetError(f"study.on_error={cfg.study.on_error}: one of {', '.join(ON_ERROR)}")
    for key, least in COUNTS.items():
        demand_whole(f"search.{key}", cfg.search[key], least)
    return cfg


def _plain(node: Any) -> dict[Any, Any]:
    """A mapping of the configuration as plain values. Raises LightdetError for anything else."""
    content = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if not isinstance(content, dict):
        raise LightdetError(f"search.parameters: {content}: give a mapping of settings to their values")
    return content


def _print_pruning(search: DictConfig, column: str | None) -> None:
    pruner = str(search.pruner.get("_target_")).rpartition(".")[2]
    if column is not None:
        print(f"lightdet: trials are compared by {column} after every epoch ({pruner})", flush=True)
    else:
        print(
            "lightdet: trials are not pruned: that needs a single objective that is a column of metrics.csv", flush=True
        )


def _summary(facts: dict[str, Any], words: list[str], study_path: Path, config_dir: Path | None) -> str:
    from lightdet.study.search.recipe import command, write_recipes
    from lightdet.study.search.result_files import summary

    by_number = {trial["number"]: trial for trial in facts["trials"]}
    names, chosen = {}, {}
    for number in facts["best"]:
        trial = by_number[number]
        reached = ", ".join(f"{name} {value:.6g}" for name, value in trial["values"].items())
        names[number] = f"trial-{number:04d}" if len(facts["objectives"]) > 1 else "best"
        chosen[number] = [*words, *trial["overrides"]], f"trial {number} of {study_path.name}: {reached}"
    recipes = write_recipes(study_path, {names[number]: chosen[number] for number in chosen}, config_dir)
    commands = {number: command(settings, config_dir) for number, (settings, _) in chosen.items()}
    return summary(facts, commands, {number: recipes[name] for number, name in names.items()})
