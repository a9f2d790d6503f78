"""Command line of `lightdet study`. No torch here."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lightdet.config.saved import read_config
from lightdet.config.trust import HELP, WORD, Untrusted, composed_here, needs_word
from lightdet.core.errors import LightdetError
from lightdet.core.options import OptionParser
from lightdet.logger.wandb_mode import MODES
from lightdet.report.settings import add_settings, settings
from lightdet.runs.find import find_study
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.runs.table import write_tables
from lightdet.study.archive import export
from lightdet.study.clean import clean
from lightdet.study.live import show


def run(words: Sequence[str]) -> int:
    """Runs an action. Exit code: 0 when every job is done or was pruned by a search, 1 otherwise, 2 for bad input."""
    options = parse(words)
    options.study = find_study(options.study)
    action: Callable[[argparse.Namespace], int] = options.action
    return action(options)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The parsed arguments. Raises LightdetError for unknown ones."""
    parser = OptionParser(
        "lightdet study",
        description="The state of every job of a study: state, epoch, best monitored value, time left, the reason of a "
        "failure and where its traceback is. In a terminal the table is refreshed while a run is trained.",
    )
    parser.set_defaults(action=_show)
    parser.add_argument("study", type=Path, help="folder of a study, or its name under runs/")
    actions = parser.add_subparsers(prog="lightdet study STUDY", metavar="retry | clean | export | publish")

    again = actions.add_parser("retry", help="train again only the runs that failed, were killed or never began")
    again.add_argument(WORD, action="store_true", help=HELP)
    again.add_argument("override", nargs="*", help="where and how: launcher=parallel launcher.workers=2 ...")
    again.set_defaults(action=_retry)

    tidy = actions.add_parser("clean", aliases=["prune"], help="list files that no job needs; with --yes delete them")
    tidy.add_argument("--checkpoints", action="store_true", help="of finished runs, too: last.ckpt (best.ckpt stays)")
    tidy.add_argument("--yes", action="store_true", help="delete what is listed")
    tidy.set_defaults(action=_clean)

    pack = actions.add_parser("export", help="one ZIP file with everything that a report needs")
    pack.add_argument("--out", type=Path, help="file to write (default: STUDY.zip in the working directory)")
    pack.add_argument("--checkpoints", action="store_true", help="with best.ckpt of every run")
    pack.set_defaults(action=_export)

    shared = actions.add_parser("publish", help="the study's tables, charts, pictures and page as one W&B run")
    shared.add_argument("--project", default="lightdet", help="at W&B (default: lightdet)")
    shared.add_argument("--entity", help="at W&B (default: yours)")
    shared.add_argument("--mode", default="auto", choices=MODES, help="as logger.wandb.mode (default: auto)")
    add_settings(shared)
    shared.set_defaults(action=_publish)
    return parser.parse_args(words)


def _show(options: argparse.Namespace) -> int:
    return show(options.study)


def _retry(options: argparse.Namespace) -> int:
    from hydra.utils import instantiate

    from lightdet.config.compose import compose_config
    from lightdet.engine import work
    from lightdet.study.sweep import report_undone, train_missing

    cfg = compose_config(options.override)
    folders = [RunFolder(options.study / job.run) for job in read_jobs(options.study) if job.retriable]
    theirs: list[str] = []
    trusted, refused = [], []
    for folder in folders:
        try:
            theirs += _needs_word(folder, options.trust_modules)
            trusted.append(folder)
        except Untrusted as doubt:
            refused.append(doubt)
    if refused and not trusted:
        raise refused[0]
    for each in refused:
        print(f"lightdet: not trained: {each}", file=sys.stderr)
    try:
        with composed_here(theirs):
            train_missing(trusted, instantiate(cfg.launcher), work.TRAINING, cfg.study.on_error == "stop", retry=True)
    finally:
        jobs = read_jobs(options.study)
        write_tables(options.study, jobs)
    return report_undone(jobs, options.study)


def _needs_word(folder: RunFolder, trust_modules: bool) -> tuple[str, ...]:
    """What the training of a run may build by a person's word. Raises Untrusted without that word; a request that is
    broken is left to the training, which records it."""
    try:
        return needs_word(read_config(folder.request_path, trust_modules))
    except Untrusted:
        raise
    except LightdetError:
        return ()


def _clean(options: argparse.Namespace) -> int:
    return clean(options.study, options.checkpoints, options.yes)


def _export(options: argparse.Namespace) -> int:
    out = options.out or Path(f"{options.study.name}.zip")
    size = export(options.study, out, options.checkpoints)
    print(f"lightdet: {out}: {size / 2**20:.1f} MiB; `lightdet report` reads the unpacked folder", file=sys.stderr)
    return 0


def _publish(options: argparse.Namespace) -> int:
    from lightdet.study.publish import publish

    return publish(options.study, options.project, options.entity, options.mode, settings(options))
