"""`lightdet threshold`: one threshold with a promise about what slips through."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.cli.evaluate import split_settings
from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import LightdetError
from lightdet.core.options import OptionParser
from lightdet.core.shown import shown, shown_lines
from lightdet.ops.flips import flips_named
from lightdet.runs.exported import is_exported
from lightdet.runs.find import MODEL_HELP, find_model
from lightdet.runs.package import is_package
from lightdet.runtime.view_options import add_flips, add_tiles

LEVELS = ("image", "box")


def run(words: Sequence[str]) -> int:
    """Choose a run's threshold on held-out images, with a promise about the defective parts that pass, or of the least
    cost. It is frozen in the run: `predict` uses it and `export` passes it on. Exit code 0; 1 where the images cannot
    give what is requested, and then nothing is frozen; 2 for bad input."""
    parser = OptionParser(
        "lightdet threshold",
        description=run.__doc__,
        epilog="keys: split=val|test, device=cpu, keys of the run's config under data, and other data: "
        "data=voc data.reader.root=FOLDER. Writes RUN/threshold/: threshold.json, curve.png, curve.csv. "
        "docs/threshold.md says what is promised",
    )
    parser.add_argument("run", help=MODEL_HELP)
    parser.add_argument("setting", nargs="*", help="key=value")
    parser.add_argument("--escape", type=_inside, help="share of defective parts that may pass (default: 0.01)")
    parser.add_argument("--confidence", type=_inside, help="with which it is not exceeded (default: 0.95)")
    parser.add_argument(
        "--expected", action="store_true", help="promise the mean share instead, which has no confidence"
    )
    parser.add_argument("--lot", type=_count, metavar="PARTS", help="promise it of the next so many defective parts")
    parser.add_argument("--level", choices=LEVELS, default=LEVELS[0], help="image (default), or box: missed boxes")
    parser.add_argument("--per-class", action="store_true", help="a threshold for each class")
    parser.add_argument("--cost-escape", type=_price, metavar="PRICE", help="of a defective part that passes")
    parser.add_argument("--cost-overkill", type=_price, metavar="PRICE", help="of a good part that is rejected")
    parser.add_argument("--defective", type=_inside, help="share of defective parts on the line (default: the images')")
    add_tiles(parser)
    add_flips(parser)
    parser.add_argument("--scores", type=Path, metavar="FOLDER", help="of an evaluation, in place of running the model")
    parser.add_argument(WORD, action="store_true", help=HELP)
    options = parser.parse_intermixed_args(words)
    _refuse_contradictions(options)
    own, overrides = split_settings(options.setting, ("split", "device"))
    if options.scores is not None and options.setting:
        raise LightdetError(f"--scores {options.scores}: has the images already; leave out {options.setting[0]}")
    if options.scores is not None and (options.tiles or options.flips):
        raise LightdetError(f"--scores {options.scores}: tells how images were shown; leave out --tiles and --flips")
    model = find_model(options.run)
    if is_package(model) or is_exported(model):
        raise LightdetError(f"{model}: a threshold is frozen in a run; give the run, and export it afterwards")
    return _choose(model, options, own, overrides)


def _choose(model: Path, options: argparse.Namespace, own: dict[str, str], overrides: list[str]) -> int:
    from lightdet.engine.load import best_threshold
    from lightdet.engine.threshold import as_text, choose_threshold
    from lightdet.engine.threshold_scores import scores_of_run
    from lightdet.metric.promised import Asked
    from lightdet.runs.folder import RunFolder

    given: dict[str, Any] = {"escape": options.escape, "confidence": options.confidence, "defective": options.defective}
    given = {name: value for name, value in given.items() if value is not None}
    prices = None if options.cost_escape is None else (options.cost_escape, options.cost_overkill)
    given["lot"] = options.lot
    asked = Asked(level=options.level, expected=options.expected, per_class=options.per_class, prices=prices, **given)
    split = own.get("split", "val")
    device = own.get("device", "cpu")
    shown_as = options.tiles, flips_named(options.flips)
    scores, views = scores_of_run(model, split, overrides, options.scores, device, options.trust_modules, *shown_as)
    origin = {"split": split, "settings": overrides} if options.scores is None else {"scores": options.scores.name}
    outcome = choose_threshold(model, scores, asked, origin, views)
    if not outcome.kept:
        for line in outcome.chosen.missing:
            print(f"lightdet: {shown(line)}", file=sys.stderr)
        print(f"not promised: {shown(outcome.chosen.sentence)}\ncurve in {shown(outcome.folder)}")
        return 1
    print(shown_lines(as_text(outcome, asked, best_threshold(RunFolder(model).read_results()))))
    print(f"frozen in {shown(outcome.folder)}: predict uses it, export passes it on")
    return 0


def _refuse_contradictions(options: argparse.Namespace) -> None:
    if (options.cost_escape is None) != (options.cost_overkill is None):
        raise LightdetError("a cost needs two prices: give --cost-escape and --cost-overkill")
    by_cost = options.cost_escape is not None
    bounded = [f"--{name}" for name in ("escape", "confidence") if getattr(options, name) is not None]
    bounded += ["--expected"] * options.expected + ["--per-class"] * options.per_class
    bounded += ["--level box"] * (options.level == "box")
    if by_cost and bounded:
        raise LightdetError(f"{bounded[0]} promises a share, --cost-escape looks for the least cost: give one of them")
    if not by_cost and options.defective is not None:
        raise LightdetError("--defective counts for costs: give --cost-escape and --cost-overkill with it")
    if options.lot is not None and (by_cost or set(bounded) - {"--escape", "--confidence"}):
        raise LightdetError(
            "--lot has one threshold, promised with confidence: leave out --expected, --per-class, "
            "--level box and the prices"
        )
    if options.level == "box" and options.per_class:
        raise LightdetError("--level box has one threshold: leave out --per-class")
    if options.confidence is not None and (options.expected or options.level == "box"):
        other = "--expected" if options.expected else "--level box"
        raise LightdetError(f"{other} promises a mean, which has no confidence: leave out --confidence")


def _inside(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is no number of parts from 1 to 1,000,000")
    return number


def _price(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no price from 0")
    return number
