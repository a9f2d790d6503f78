"""`python -m lightdet.runtime MODEL SOURCE ...`: what `lightdet predict` finds, where no torch is installed."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.options import OptionParser
from lightdet.core.output import guard_output
from lightdet.core.outside import end_on_signals, exit_code_of_interruption
from lightdet.core.shown import shown
from lightdet.runtime.contract import CLASSIFICATION
from lightdet.runtime.found import Found
from lightdet.runtime.pipeline import in_order
from lightdet.runtime.session import Exported
from lightdet.runtime.verdict import FAIL
from lightdet.runtime.view_options import add_tiles

IN_PART, BAD_INPUT, SOME_FAIL = 1, 2, 3  # exit codes
MOST_THREADS = 8  # by default


def run(words: Sequence[str]) -> int:
    """Predict on images with an exported file: a line of JSON for each image on standard output, as an image of
    predictions.json has it. Exit code 0; 1 when an image was skipped; 2 for bad input; 3 with --verdict when all were
    judged and some fail; 130 when it was interrupted."""
    parser = OptionParser("python -m lightdet.runtime", description=run.__doc__)
    parser.add_argument("model", help="a file of `lightdet export`")
    parser.add_argument("source", nargs="+", help="images, folders of images, or globs in quotes")
    parser.add_argument("--verdict", action="store_true", help="pass or fail for each image, and for all the exit code")
    parser.add_argument("--threads", type=_count, help="images worked on at a time (default: one per core)")
    add_tiles(parser)
    options = parser.parse_args(words)
    threads = options.threads or min(os.cpu_count() or 1, MOST_THREADS)
    model, found = Exported(options.model, 1), Found()
    model.tiles = model.tiling(options.tiles)
    model.require_views(model.tiles)
    if options.verdict:
        _require_good(model)
    for source in options.source:
        found.search(source)
    whole, failed = found.whole, 0

    def work(path: Path) -> dict[str, Any] | LightdetError:
        try:
            (result,) = model(path)
        except LightdetError as error:
            return error
        return result.to_dict() | (result.verdict.to_dict() if options.verdict and result.verdict else {})

    for done in in_order(dict.fromkeys(found.files), work, threads, threads):
        if isinstance(done, LightdetError):
            print(f"lightdet: skipped {shown(str(done))}", file=sys.stderr)
            whole = False
            continue
        failed += done.get("verdict") == FAIL
        print(json.dumps(done), flush=True)
    for line in found.left_out.lines():
        print(f"lightdet: {shown(line)}", file=sys.stderr)
    return IN_PART if not whole else SOME_FAIL if failed else 0


def _require_good(model: Exported) -> None:
    """Raises LightdetError for a classifier that can pass no part."""
    contract = model.contract
    if contract.task == CLASSIFICATION and contract.good not in contract.classes:
        raise LightdetError(f"--verdict: {model.path} knows no class of good parts, so it can pass none")


def _count(text: str) -> int:
    """A number from 1, for argparse."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no number from 1")
    return int(text)


def program() -> int:
    """Runs the shell's words; an error of the input is one line."""
    guard_output()
    end_on_signals()
    try:
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        print("lightdet: stopped", file=sys.stderr)
        return exit_code_of_interruption()
    except LightdetError as error:
        print(f"lightdet: {shown(str(error))}", file=sys.stderr)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(program())
