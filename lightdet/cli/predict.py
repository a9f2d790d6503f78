"""`lightdet predict`: detect defects in images with a finished run."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lightdet.config.trust import HELP, WORD
from lightdet.runs.find import MODEL_HELP, find_model


def run(words: Sequence[str]) -> int:
    """Detect defects in images: boxes drawn on copies, predictions.json, predictions.coco.json, and the speed."""
    parser = argparse.ArgumentParser("lightdet predict", description=run.__doc__)
    parser.add_argument("run", help=MODEL_HELP)
    parser.add_argument("source", nargs="+", help="images, folders of images, or globs in quotes")
    parser.add_argument("--out", type=Path, default=Path("predictions"), help="where results go (default: predictions)")
    parser.add_argument("--threshold", type=share, help="least score of a box (default: the run's best F1, or 0.25)")
    parser.add_argument("--overlap", type=share, default=0.5, help="IoU above which two boxes are one (default: 0.5)")
    parser.add_argument("--checkpoint", default="best", choices=("best", "last"))
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument(WORD, action="store_true", help=HELP)
    options = parser.parse_args(words)
    folder = find_model(options.run)
    from lightdet.engine.predict import find_images, predict_files
    from lightdet.engine.predictor import load_predictor

    files = find_images(options.source, options.out)
    how = options.checkpoint, options.device, options.threshold, options.overlap
    predictor = load_predictor(folder, *how, options.trust_modules)
    summary = predict_files(predictor, files, options.out)
    print(json.dumps(summary.as_json(), indent=1) if options.json else summary.as_text())
    for line in summary.broken:
        print(f"lightdet: skipped {line}", file=sys.stderr)
    return 1 if summary.broken else 0


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number
