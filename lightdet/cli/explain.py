"""`lightdet explain`: where in an image a model finds what it predicts."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import one_line
from lightdet.core.shown import shown
from lightdet.runs.find import MODEL_HELP, find_model

MOST_ON_PAGES = 2  # the decided class and the second guess, or the best two boxes


def run(words: Sequence[str]) -> int:
    """Heat maps of what decided: a picture for each image, with its boxes or its class, and explanations.json. Without
    images, those of the run's own validation on which it was most wrong. Exit code 0; 1 when an image was skipped
    or has no picture; 2 for bad input."""
    parser = argparse.ArgumentParser(
        "lightdet explain",
        description=run.__doc__,
        epilog="values of a method are words such as explain.rise.masks=500; docs/explain.md describes the methods",
    )
    parser.add_argument("run", help=MODEL_HELP)
    parser.add_argument("source", nargs="*", help="images, folders of images, or globs in quotes; explain.KEY=VALUE")
    parser.add_argument("--method", default="layer_cam", help="names with commas between, or all (default: layer_cam)")
    parser.add_argument(
        "--layer", help="the part of the network whose maps are taken (default: the model's own choice)"
    )
    parser.add_argument("--most", type=int, help="boxes of an image, or guesses of its class (default: 1, on pages 2)")
    parser.add_argument(
        "--page",
        action="store_true",
        help="write an HTML page for each image and one for all: what decided, the second guess, and the nearest "
        "training images; the same as JSON",
    )
    parser.add_argument("--out", type=Path, help="folder (default: explanations; without images explain/ in the run)")
    parser.add_argument("--threshold", type=float, help="least score of a box (default: the run's best F1, or 0.25)")
    parser.add_argument("--checkpoint", default="best", choices=("best", "last"))
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder with further methods")
    parser.add_argument(WORD, action="store_true", help=HELP)
    options = parser.parse_intermixed_args(words)
    settings = [word for word in options.source if word.startswith("explain.")]
    sources = [word for word in options.source if word not in settings]
    if options.most is not None and options.most < 1:
        parser.error(f"--most {options.most}: at least 1")
    folder = find_model(options.run)
    from lightdet.engine.found import EXPLANATIONS, Found
    from lightdet.engine.predict import find_images
    from lightdet.engine.predictor import load_predictor
    from lightdet.explain.files import MADE_BY, explain_files
    from lightdet.explain.methods import build_methods

    if sources:
        out = options.out or Path("explanations")
        files, found = find_images(sources, out, MADE_BY, (EXPLANATIONS,))
    methods = build_methods(options.method.split(","), settings, options.config_dir, options.layer)
    how = options.checkpoint, options.device, options.threshold
    predictor = load_predictor(folder, *how, trust_modules=options.trust_modules)
    if not sources:
        from lightdet.explain.of_run import own_folder, worst_files

        files, found = worst_files(folder, predictor, options.trust_modules), Found()
        out = own_folder(folder, files, options.out)
    lot = None
    if options.page:
        from lightdet.explain.lot import Lot
        from lightdet.explain.surroundings import context_of

        Lot.check(out, files)
        lot = Lot(out, context_of(folder, predictor, options.checkpoint, options.trust_modules))
    most = options.most or (MOST_ON_PAGES if lot else 1)
    try:
        done = explain_files(predictor, files, out, methods, most, found, lot.add if lot else None)
    except BaseException as error:
        if lot is not None:  # the pages that are there stay together
            lot.finish([f"ended before its last image: {one_line(error)}"], [])
        raise
    print(done.as_text())
    if lot is not None:
        print(f"open {shown(lot.finish(map(str, done.skipped), done.found.left_out.lines()))}")
    for line in done.troubles():
        print(f"lightdet: {shown(line)}", file=sys.stderr)
    return 0 if done.whole else 1
