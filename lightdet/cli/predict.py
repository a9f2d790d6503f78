"""`lightdet predict`: detect defects in images with a finished run."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lightdet.cli.views import add_tiles
from lightdet.config.trust import HELP, WORD
from lightdet.core.outside import exit_code_of_interruption
from lightdet.core.shown import shown
from lightdet.runs.find import MODEL_HELP, find_model

LEAST = "least score of a box (default: the one of `lightdet threshold`, else the run's best F1, or 0.25)"
SOME_FAIL = 3  # exit code


def run(words: Sequence[str]) -> int:
    """Detect defects in images: boxes drawn on copies, predictions.jsonl as it goes, predictions.json and
    predictions.coco.json at the end, and the speed. Exit code 0; 1 when an image was skipped, has no picture, or when
    nothing more could be written; 2 for bad input; 3 with --verdict when all were judged and some fail; 130 when it was
    interrupted."""
    parser = argparse.ArgumentParser("lightdet predict", description=run.__doc__)
    parser.add_argument("run", help=MODEL_HELP)
    parser.add_argument("source", nargs="+", help="images, folders of images, or globs in quotes")
    parser.add_argument("--out", type=Path, default=Path("predictions"), help="where results go (default: predictions)")
    parser.add_argument("--threshold", type=share, help=LEAST)
    parser.add_argument("--overlap", type=share, default=0.5, help="IoU above which two boxes are one (default: 0.5)")
    parser.add_argument("--checkpoint", default="best", choices=("best", "last"))
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    add_tiles(parser)
    parser.add_argument("--stage2", metavar="RUN2", help="a classifier's run: it judges the boxes that are found")
    parser.add_argument("--stage2-label", choices=("classifier", "detector"), help="which of the two names the class")
    parser.add_argument("--verdict", action="store_true", help="pass or fail for each image, and for all the exit code")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument(WORD, action="store_true", help=HELP)
    options = parser.parse_args(words)
    folder = find_model(options.run)
    from lightdet.engine.predict import find_images, predict_files
    from lightdet.engine.predictor import load_predictor
    from lightdet.engine.two_stage import stage2_of

    files, found = find_images(options.source, options.out)
    how = options.checkpoint, options.device, options.threshold, options.overlap
    stage2 = stage2_of(options.stage2, options.stage2_label)
    predictor = load_predictor(folder, *how, options.trust_modules, stage2, options.tiles)
    try:
        summary = predict_files(predictor, files, options.out, found, options.verdict)
    except KeyboardInterrupt:
        print(f"lightdet: stopped; {shown(options.out)}/predictions.jsonl has what was predicted", file=sys.stderr)
        return exit_code_of_interruption()
    print(json.dumps(summary.as_json(), indent=1) if options.json else summary.as_text())
    for line in summary.troubles():
        print(f"lightdet: {shown(line)}", file=sys.stderr)
    if not summary.whole:
        return 1  # also where parts fail: what was not judged has no verdict
    return SOME_FAIL if summary.lot is not None and summary.lot.failed else 0


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number
