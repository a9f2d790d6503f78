"""`lightdet explain`: where in an image a model finds what it predicts."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lightdet.cli.evaluate import split_settings
from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import one_line
from lightdet.core.options import OptionParser
from lightdet.core.shown import shown
from lightdet.runs.find import MODEL_HELP, find_model
from lightdet.runs.package import measurement_folder

TRIVIAL = ("image_centre", "box_centre", "edges")  # beside which methods are measured
CHECKED = 24  # predictions on which stability and sanity are measured
MOST_ON_PAGES = 2  # the decided class and the second guess, or the best two boxes


def run(words: Sequence[str]) -> int:
    """Heat maps of what decided: a picture for each image, with its boxes or its class, and explanations.json. Without
    images, those of the run's own validation on which it was most wrong. With --measure the methods are measured on the
    run's dataset instead, beside trivial maps. Exit code 0; 1 when an image was skipped or has no picture; 2 for bad
    input."""
    parser = OptionParser(
        "lightdet explain",
        description=run.__doc__,
        epilog="values of a method are words such as explain.rise.masks=500; with --measure also split=val|train|test, "
        "data=OPTION, and keys of the run's config under data and model. docs/explain.md describes methods and numbers",
    )
    parser.add_argument("run", help=MODEL_HELP)
    parser.add_argument("source", nargs="*", help="images, folders of images, or globs in quotes; key=value")
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
    parser.add_argument("--measure", action="store_true", help="measure the methods: table.md, table.csv, explain.json")
    parser.add_argument("--images", type=int, default=100, help="that are measured, at most (default: 100)")
    parser.add_argument(
        "--out", type=Path, help="folder (default: explanations; without images, and measured, explain/ in the run)"
    )
    parser.add_argument("--threshold", type=float, help="least score of a box (default: the run's best F1, or 0.25)")
    parser.add_argument("--checkpoint", default="best", choices=("best", "last"))
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder with further methods")
    parser.add_argument(WORD, action="store_true", help=HELP)
    options = parser.parse_intermixed_args(words)
    for name, value in (("--most", options.most), ("--images", options.images)):
        if value is not None and value < 1:
            parser.error(f"{name} {value}: at least 1")
    return _measure(options) if options.measure else _explain(options)


def _measure(options: argparse.Namespace) -> int:
    folder = find_model(options.run)
    from lightdet.explain.measure_run import measure_run
    from lightdet.explain.methods import build_methods

    own, overrides = split_settings([word for word in options.source if not word.startswith("explain.")], ("split",))
    settings = [word for word in options.source if word.startswith("explain.")]
    methods = build_methods([*options.method.split(","), *TRIVIAL], settings, options.config_dir, options.layer)
    out = options.out or measurement_folder(folder)
    how = options.threshold, options.checkpoint, options.device, overrides, options.trust_modules
    measure_run(folder, out, methods, own.get("split", "val"), options.images, CHECKED, *how)
    print(f"written to {shown(out)}")
    return 0


def _explain(options: argparse.Namespace) -> int:
    settings = [word for word in options.source if word.startswith("explain.")]
    sources = [word for word in options.source if word not in settings]
    folder = find_model(options.run)
    from lightdet.engine.image_files import find_images
    from lightdet.engine.predictor import load_predictor
    from lightdet.explain.files import MADE_BY, explain_files
    from lightdet.explain.methods import build_methods
    from lightdet.runtime.found import EXPLANATIONS, Found

    if sources:
        out = options.out or Path("explanations")
        files, found = find_images(sources, out, MADE_BY, (EXPLANATIONS,))
    methods = build_methods(options.method.split(","), settings, options.config_dir, options.layer)
    lenient = "all" in options.method.split(",")
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
        done = explain_files(predictor, files, out, methods, most, found, lot.add if lot else None, lenient)
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
