"""Command line of `lightdet compress`. No torch before the trainings are done."""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import LightdetError, demand_whole
from lightdet.core.options import OptionParser
from lightdet.engine.work import TRAINING
from lightdet.export.choice import FLOAT32, PACKAGE, format_names, format_of, precision_names, precision_of
from lightdet.runs.find import RUN_HELP, find_model, find_run
from lightdet.runs.folder import BEST, RunFolder
from lightdet.runs.jobs import inside
from lightdet.runs.names import study_name
from lightdet.runs.study_files import job_files
from lightdet.runs.teachers import content_of
from lightdet.study.chain.lessons import LESSONS
from lightdet.study.chain.plan import FIRST, OURS, Plan, steps_of
from lightdet.study.chain.wish import NAMES, steps_for, wish_of

RUNS_DIR = Path("runs")
NO_TEACHER = "none"


def run(words: Sequence[str], train: str = TRAINING) -> int:
    """Make the model of a finished run smaller: cut it, train what is left with the run as its teacher, export it, and
    tell what each step cost. The same command continues where it was stopped."""
    plan = plan_of(parse(words))
    from lightdet.study.chain.work import work

    return work(plan, ["compress", *words], train)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The parsed arguments. Raises LightdetError for unknown ones."""
    parser = OptionParser("lightdet compress", description=run.__doc__)
    parser.add_argument("run", help=RUN_HELP)
    wish = parser.add_mutually_exclusive_group(required=True)
    wish.add_argument("--latency", metavar="SHARE", help="of the time of one image on this machine that is left: 0.6")
    wish.add_argument("--flops", metavar="SHARE", help="of the FLOPs that is left: 0.5")
    wish.add_argument("--parameters", metavar="AMOUNT", help="that are left: a share, or a number: 500000, 0.5M")
    parser.add_argument("--steps", help="cuts, each with a training (default: as many as leave 0.6 or more each)")
    parser.add_argument("--epochs", help="of each training (default: half of those of the run)")
    parser.add_argument("--seeds", help="a training of each step with each: 0,1,2 (default: the seed of the run)")
    parser.add_argument(
        "--teacher", help=f"runs or packages that teach, or {NO_TEACHER} (default: the run itself)", metavar="RUN[,RUN]"
    )
    parser.add_argument(
        "--untaught", action="store_true", help="train the last step without a teacher as well, as a row of its own"
    )
    parser.add_argument("--format", default="onnx", help=f"of the files: {', '.join(format_names())} (default: onnx)")
    parser.add_argument(
        "--precision",
        default="int8",
        help=f"tried for the last step besides {FLOAT32}: {', '.join(precision_names())} (default: int8)",
    )
    parser.add_argument("--out", type=Path, help="folder of the study (default: runs/NAME-WISH)")
    parser.add_argument(WORD, action="store_true", help=HELP)
    parser.add_argument("setting", nargs="*", help="compress.importance=taylor, trainer.device=cpu, launcher=parallel")
    return parser.parse_intermixed_args(words)


def plan_of(given: argparse.Namespace) -> Plan:
    """What is to be done. Raises LightdetError for a wish that no run fulfils, a run that is not finished, a setting
    that the command decides itself, and what is not installed."""
    target, text = next((name, value) for name in NAMES if (value := getattr(given, name)) is not None)
    wish = wish_of(target, text)
    folder = _finished(given.run)
    results = folder.read_results()
    config = Plan(folder, wish, (), (), (), 1, RUNS_DIR, given.format, given.precision, (), given.trust_modules).base()
    epochs = _whole("--epochs", given.epochs, -(-int(config.trainer.max_epochs) // 2) or 1)
    steps = _whole("--steps", given.steps, steps_for(wish.share(results)))
    seeds = [_whole("--seeds", seed, 0, least=0) for seed in (given.seeds or str(config.seed)).split(",")]
    if len(set(seeds)) < len(seeds):
        raise LightdetError(f"--seeds {given.seeds}: a seed comes twice")
    teachers = _teachers(given.teacher, folder)
    if given.untaught and not teachers:
        raise LightdetError(f"--untaught: with --teacher {NO_TEACHER} every step is untaught; leave it out")
    for word in given.setting:
        if instead := OURS.get(word.partition("=")[0]):
            raise LightdetError(f"{word}: the command decides this; take {instead}")
    _require_formats(given.format, given.precision)
    if find_spec("torch_pruning") is None:
        raise LightdetError("compress needs torch-pruning, which is not installed; pip install 'lightdet[prune]'")
    out = given.out or RUNS_DIR / f"{_name(folder)}-{target}-{text}"
    study_name(out.name)
    if job_files(out) and not (out / FIRST).exists():
        raise LightdetError(f"--out {out}: it holds another study; name a new folder")
    plan = Plan(
        folder,
        wish,
        steps_of(wish, wish.share(results), steps, bool(teachers), given.untaught),
        teachers,
        seeds,
        epochs,
        out,
        given.format,
        given.precision,
        given.setting,
        given.trust_modules,
    )
    plan.request(plan.steps[0], seeds[0], 0, folder, LESSONS)  # judges the settings
    return plan


def _finished(named: str) -> RunFolder:
    """Raises LightdetError for what is no finished run with its best checkpoint and its request."""
    folder = find_run(named)
    state = folder.read_status().get("state", "not trained")
    if not folder.is_done() or not isinstance(inside(folder.read_results(), "metrics"), dict):
        raise LightdetError(f"{folder.path}: this run is {state}; give one that is done")
    for path in (folder.checkpoints / BEST, folder.request_path):
        if not path.is_file():
            raise LightdetError(f"{path}: no such file; give a run that was trained here, with its folder as it was")
    return folder


def _teachers(given: str | None, folder: RunFolder) -> list[Path]:
    if given == NO_TEACHER:
        return []
    found = [folder.path] if given is None else [find_model(name) for name in given.split(",")]
    for path in found:
        content_of(path)
    return [path.resolve() for path in found]


def _whole(option: str, text: str | None, default: int, least: int = 1) -> int:
    if text is None:
        return default
    number = int(text) if text.isdigit() else None
    demand_whole(option, text if number is None else number, least)
    assert number is not None
    return number


def _require_formats(form: str, precision: str) -> None:
    if form == PACKAGE:
        raise LightdetError(f"--format {PACKAGE}: nothing that is timed; one of {', '.join(format_names())}")
    precision_of(precision)
    has = format_of(form).precisions
    if precision not in has:
        raise LightdetError(f"--precision {precision}: format {form} has {', '.join(has)}")


def _name(folder: RunFolder) -> str:
    """Of the study that a run belongs to, else of its folder."""
    study = folder.read_status().get("study")
    return str(study) if isinstance(study, str) and study else folder.path.parent.name
