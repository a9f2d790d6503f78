"""`lightdet evaluate`: measure a finished run again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.config.trust import HELP, WORD
from lightdet.core.errors import LightdetError
from lightdet.core.options import OptionParser
from lightdet.core.shown import shown, shown_lines
from lightdet.ops.flips import flips_named
from lightdet.runs.find import MODEL_HELP, find_model
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import evaluation_folder
from lightdet.runtime.view_options import add_flips, add_tiles

KEYS = ("split", "threshold", "checkpoint", "device", "out", "stage2", "stage2_label")


def run(words: Sequence[str]) -> int:
    """Measure a finished run or a model package again: the numbers, the curves and the pictures."""
    parser = OptionParser(
        "lightdet evaluate",
        description=run.__doc__,
        epilog="keys: split=val|train|test, checkpoint=best|last, threshold=0.5 (default: the best F1), device=cpu, "
        "out=FOLDER (default: RUN/evaluate-SPLIT), the keys of the run's config under data and model, such as "
        "data.reader.root=FOLDER or model.nms_iou=0.5, stage2=RUN2 of a classifier that judges a detector's boxes, "
        "stage2_label=classifier|detector, and another dataset: data=voc data.reader.root=FOLDER",
    )
    parser.add_argument("run", help=MODEL_HELP)
    parser.add_argument("setting", nargs="*", help="key=value")
    parser.add_argument(WORD, action="store_true", help=HELP)
    add_tiles(parser)
    add_flips(parser)
    options = parser.parse_intermixed_args(words)
    own, overrides = split_settings(options.setting)
    model = find_model(options.run)
    from lightdet.engine.evaluate_run import evaluate_run
    from lightdet.engine.measure_views import compared_text
    from lightdet.engine.two_stage import stage2_of

    split = own.pop("split", "val")
    stage2 = stage2_of(own.pop("stage2", None), own.pop("stage2_label", None))
    besides = {"stage2": stage2 is not None, "tiles": options.tiles, "flips": options.flips}
    folder = Path(own.pop("out", "") or evaluation_folder(model, split, **besides))
    threshold = number(own.pop("threshold")) if "threshold" in own else None
    how: dict[str, Any] = {"overrides": overrides, "trust_modules": options.trust_modules, "stage2": stage2, **own}
    report = evaluate_run(model, folder, split, threshold, tiles=options.tiles, flips=flips_named(options.flips), **how)
    print(shown_lines(RunFolder(folder).read_metrics_text()), end="")
    if "compared" in report:
        print(compared_text(report["compared"]))
    print(f"written to {shown(folder)}")
    return 0


def number(threshold: str) -> float:
    """Raises LightdetError for a word that is no number."""
    try:
        return float(threshold)
    except ValueError:
        raise LightdetError(f"threshold={threshold}: give a number from 0 to 1") from None


def split_settings(settings: Sequence[str], keys: Sequence[str] = KEYS) -> tuple[dict[str, str], list[str]]:
    """`key=value` words -> (those of the command, those that change the run's config)."""
    own: dict[str, str] = {}
    overrides: list[str] = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise LightdetError(f"{setting!r} is not of the form key=value")
        if key in keys:
            own[key] = value
        elif "." in key or key == "data":
            overrides.append(setting)
        else:
            raise LightdetError(f"{key}: choose one of {', '.join(keys)}, or a dotted key of the run's config")
    return own, overrides
