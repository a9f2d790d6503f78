"""`lightdet train`: one run, or with `-m` a sweep; `--help`, `--cfg`, `--info` and completion are Hydra's."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lightdet.config.conf_folder import conf_folder
from lightdet.config.words import with_full_names
from lightdet.core.errors import LightdetError
from lightdet.core.options import OptionParser
from lightdet.core.shown import shown_lines
from lightdet.engine.work import TRAINING

FLAGS = ("-m", "--multirun", "-cd", "--config-dir")
# flags of Hydra's application that print something in place of a training
SHOW = ("-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion")


def run(words: Sequence[str], train: str = TRAINING) -> int:
    """Trains what the overrides describe; `train` names the training as module:function. Returns the exit code."""
    words = with_full_names(words)
    if any(word.partition("=")[0] in SHOW for word in words):
        return show(words)
    options = parse(words)
    if options.multirun:
        from lightdet.study.sweep import sweep_words

        return sweep_words(options.override, options.config_dir, train)
    from lightdet.study.single import train_words

    print(shown_lines(train_words(options.override, options.config_dir, train).read_metrics_text()), end="")
    return 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The words as settings. Raises LightdetError for a flag that does not exist."""
    for flag in [word.partition("=")[0] for word in words if word.startswith("-")]:
        if flag not in FLAGS:
            raise LightdetError(f"{flag}: no such flag; settings are key=value: {flag_advice(flag)}")
    parser = OptionParser("lightdet train", add_help=False)
    parser.add_argument(*FLAGS[:2], dest="multirun", action="store_true")
    parser.add_argument(*FLAGS[2:], dest="config_dir", type=Path)
    parser.add_argument("override", nargs="*")
    return parser.parse_intermixed_args(words)


def flag_advice(flag: str) -> str:
    """--batch-size -> "did you mean data.batch_size?"."""
    from lightdet.config.refusals import advice, default_config

    key = flag.lstrip("-").replace("-", "_")
    return f"{key}=..." if key in default_config() else advice(key)


def show(words: Sequence[str]) -> int:
    """What Hydra's application prints: help, completion, or a configuration, which is checked as for a run."""
    from hydra._internal.utils import _run_hydra, get_args_parser

    parser = get_args_parser()
    options = OptionParser("lightdet train", parents=[parser], add_help=False).parse_intermixed_args(words)
    if options.cfg or options.info:
        if options.multirun:
            raise LightdetError("Only one of --multirun, --cfg and --info can be given: they show one configuration")
        from lightdet.config.judge import missing_folder
        from lightdet.runs.start_weights import settle_weights
        from lightdet.study.single import single_config

        cfg = single_config(options.overrides, Path(options.config_dir) if options.config_dir else None)
        if missing := missing_folder(cfg):
            raise LightdetError(missing)
        settle_weights(cfg)
    try:
        _run_hydra(options, parser, run, str(conf_folder()), "train")
    except SystemExit as stop:  # how Hydra returns
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0
