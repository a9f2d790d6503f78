"""`lightdet predict`: detect defects in images with a finished run."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import LightdetError
from lightdet.core.options import OptionParser
from lightdet.core.outside import exit_code_of_interruption
from lightdet.core.shown import shown
from lightdet.ops.flips import flips_named
from lightdet.runs.find import MODEL_HELP, find_model
from lightdet.runtime.view_options import add_flips, add_tiles

LEAST = "least score of a box (default: the one of `lightdet threshold`, else the run's best F1, or 0.25)"
SOURCES = (
    "images, folders of images, or globs in quotes; videos; camera:0; an address, rtsp://...; or - for paths on "
    "standard input"
)
OUT = "where results go (default: predictions); -: JSON lines to standard output, and no file"
ONE = 1  # thread that computes an image of an exported file, while the other threads have images of their own
PICTURES = "draw boxes on copies (default: of image files, not of frames)"
SOME_FAIL = 3  # exit code


def run(words: Sequence[str]) -> int:
    """Detect defects in images, videos and what a camera shows: predictions.jsonl as it goes, boxes drawn on copies of
    images, predictions.json and predictions.coco.json at the end, and the speed. Exit code 0; 1 when an image was
    skipped, has no picture, or when nothing more could be written; 2 for bad input; 3 with --verdict when all were
    judged and some fail; 130 when it was interrupted."""
    parser = OptionParser("lightdet predict", description=run.__doc__)
    parser.add_argument("run", help=MODEL_HELP)
    parser.add_argument("source", nargs="+", help=SOURCES)
    parser.add_argument("--out", type=Path, default=Path("predictions"), help=OUT)
    parser.add_argument("--threshold", type=share, help=LEAST)
    parser.add_argument("--overlap", type=share, default=0.5, help="IoU above which two boxes are one (default: 0.5)")
    parser.add_argument("--checkpoint", default="best", choices=("best", "last"))
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    add_tiles(parser)
    add_flips(parser)
    parser.add_argument("--stage2", metavar="RUN2", help="a classifier's run: it judges the boxes that are found")
    parser.add_argument("--stage2-label", choices=("classifier", "detector"), help="which of the two names the class")
    parser.add_argument("--verdict", action="store_true", help="pass or fail for each image, and for all the exit code")
    parser.add_argument("--watch", action="store_true", help="predict on each image that appears in the folders")
    parser.add_argument("--idle-seconds", type=seconds, help="end when nothing new came for so long")
    parser.add_argument("--pictures", action=argparse.BooleanOptionalAction, help=PICTURES)
    parser.add_argument("--video", action="store_true", help="also write predictions.mp4, the frames with their boxes")
    parser.add_argument("--write", default="", metavar="FORMATS", help="also write csv, yolo, label_studio")
    parser.add_argument("--threads", type=count, help="images worked on at a time (default: one per core)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument(WORD, action="store_true", help=HELP)
    options = parser.parse_args(words)
    folder = find_model(options.run)
    out = None if str(options.out) == "-" else options.out
    if out is None and (options.write or options.video or options.pictures):
        raise LightdetError("--out -: prints the JSON lines alone; give a folder for pictures, --video and --write")
    from lightdet.engine.jobs import jobs_of
    from lightdet.engine.predict import Wanted, predict
    from lightdet.engine.predictor import load_predictor
    from lightdet.engine.two_stage import stage2_of

    jobs = jobs_of(options.source, out, options.watch, options.idle_seconds)
    how = options.checkpoint, options.device, options.threshold, options.overlap
    stage2 = stage2_of(options.stage2, options.stage2_label)
    views = options.tiles, flips_named(options.flips)
    predictor = load_predictor(folder, *how, options.trust_modules, stage2, *views, threads=ONE)
    predictor.require_promise()
    if predictor.flips:
        print(f"lightdet: {predictor.price_of_flips()}", file=sys.stderr)
    pictures = jobs.pictures if options.pictures is None else options.pictures
    formats = [name for name in options.write.split(",") if name]
    wanted = Wanted(pictures and out is not None, formats, options.video, options.verdict, options.threads)
    where = sys.stderr if out is None else sys.stdout
    try:
        summary = predict(predictor, jobs, out, wanted)
    except KeyboardInterrupt:
        told = "" if out is None else f"; {shown(out)}/predictions.jsonl has what was predicted"
        print(f"lightdet: stopped{told}", file=sys.stderr)
        return exit_code_of_interruption()
    print(json.dumps(summary.as_json(), indent=1) if options.json else summary.as_text(), file=where)
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


def seconds(text: str) -> float:
    """A number of seconds above 0, for argparse."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return number


def count(text: str) -> int:
    """A whole number from 1 to 256, for argparse."""
    number = int(text)
    if not 1 <= number <= 256:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 256")
    return number
