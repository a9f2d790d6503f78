"""`python -m lightdet.runtime MODEL SOURCE ...`: what `lightdet predict` finds, where no torch is installed."""

import argparse
import json
import sys
from collections.abc import Sequence

from lightdet.core.errors import LightdetError
from lightdet.core.output import guard_output
from lightdet.core.outside import end_on_signals, exit_code_of_interruption
from lightdet.core.shown import shown
from lightdet.runtime.found import Found
from lightdet.runtime.session import Exported

IN_PART, BAD_INPUT = 1, 2  # exit codes


def run(words: Sequence[str]) -> int:
    """Predict on images with an exported file: a line of JSON for each image on standard output, as an image of
    predictions.json has it. Exit code 0; 1 when an image was skipped; 2 for bad input; 130 when it was interrupted."""
    parser = argparse.ArgumentParser("python -m lightdet.runtime", description=run.__doc__)
    parser.add_argument("model", help="a file of `lightdet export`")
    parser.add_argument("source", nargs="+", help="images, folders of images, or globs in quotes")
    parser.add_argument("--threads", type=_count, help="that compute (default: the runtime's choice)")
    options = parser.parse_args(words)
    model, found = Exported(options.model, options.threads), Found()
    for source in options.source:
        found.search(source)
    whole = found.whole
    for path in dict.fromkeys(found.files):
        try:
            (result,) = model(path)
        except LightdetError as error:
            print(f"lightdet: skipped {shown(str(error))}", file=sys.stderr)
            whole = False
            continue
        print(json.dumps(result.to_dict()), flush=True)
    for line in found.left_out.lines():
        print(f"lightdet: {shown(line)}", file=sys.stderr)
    return 0 if whole else IN_PART


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
