"""Evaluates a trained model again: with another split, another threshold, or other data."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError, demand_share
from lightdet.core.files import read_json, staged, write_json
from lightdet.core.paths import is_inside, refuse_links_out
from lightdet.core.shown import shown
from lightdet.data.record import doubts_of
from lightdet.engine.evaluate import draw, write_numbers
from lightdet.engine.load import load_run
from lightdet.engine.measure_views import compared, measure_views
from lightdet.engine.other_data import NO_DATA
from lightdet.engine.run_data import in_order_of
from lightdet.engine.tiled import scale_of_run, tiles_of
from lightdet.engine.two_stage import Stage2, with_stage2
from lightdet.runs.contract import ids_digest
from lightdet.runs.exported import is_exported
from lightdet.runs.package import MEASURED, METRICS, is_package, is_passed_on, read_contract
from lightdet.runs.trained_scale import Choice
from lightdet.runs.views import KEY as VIEWS
from lightdet.runs.views import Views
from lightdet.runtime.session import Exported


def evaluate_run(
    run: Path,
    folder: Path,
    split: str = "val",
    threshold: float | None = None,
    checkpoint: str = "best",
    device: str = "cpu",
    overrides: Sequence[str] = (),
    trust_modules: bool = False,
    stage2: Stage2 | None = None,
    tiles: Choice = None,
    flips: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure a run or a model package on a split of data, write metrics.json, curves and pictures to `folder`, return
    the metrics.

    What an earlier evaluation left there stands until the new numbers are whole.

    `threshold`: least score for everything that counts boxes; None: the one with the best F1 on this split.
    `overrides` change the data and the model of the run's config; `data=OPTION` chooses another dataset, without which
    a package has none; `trust_modules` as for `load_run`; `stage2`: a classifier that judges the boxes; `tiles`,
    `flips`: how images are shown, as for `load_predictor`, and the report then has "views", and under "compared" what
    they give and cost. Raises LightdetError for a folder that is no run, code that nobody has trusted, an unknown split
    or key, a threshold outside of 0..1, and data of other classes.
    """
    if folder.is_relative_to(run):  # a received run may hold it, and links in it
        if not is_inside(folder, run):
            raise LightdetError(f"{folder}: a link that leads out of {run}; give another folder with out=FOLDER")
        refuse_links_out(folder)
    if threshold is not None:
        demand_share("threshold", threshold)
    loaded = load_run(run, checkpoint, device, overrides, trust_modules)
    if stage2 is not None:
        loaded = with_stage2(loaded, stage2, device, trust_modules)
    if "reader" not in loaded.config.data:
        raise LightdetError(f"{run}: {NO_DATA}")
    data = in_order_of(loaded.classes, loaded.config.data)
    known = partial(scale_of_run, run, loaded, trust_modules)
    views = Views(tiles_of(tiles, loaded.model, loaded.image_size, known), tuple(flips))
    data.loader(split)
    for doubt in doubts_of(data.reader):
        print(f"lightdet: data: {doubt}", file=sys.stderr)
    warn_of_trained_images(run, split, [record.image_id for record in data.records[split]])
    shows = measure_views(loaded.model, data, split, loaded.classes, views, device, compare=True)
    metric, records = shows[0].metric, data.records[split]
    with staged(folder) as new:
        report = write_numbers(metric, records, new, threshold)
        if stage2 is not None:
            report["stage2"] = {"run": str(stage2.run), "label": stage2.label}
        if views != Views():
            report |= {VIEWS: views.as_json(), "compared": compared(shows, report, len(records))}
        if is_passed_on(run):
            report[MEASURED] = str(run.resolve())
        write_json(new / METRICS, report)
    draw(report, metric, records, folder)
    return report


def warn_of_trained_images(run: Path, split: str, image_ids: Sequence[str]) -> None:
    """Warn on stderr when a split now holds images that the model was trained on, as after files were added.

    A package has no list of them, only a hash: it is told when that leaves the question open.
    """
    if split == "train":
        return
    if is_package(run) or is_exported(run):
        splits = Exported(run).contract.splits if is_exported(run) else read_contract(run).splits
        known = {digest: name for name, digest in splits.items()}.get(ids_digest(image_ids))
        if known is None:
            _tell(
                f"whether the {len(image_ids)} images in '{split}' are among those that this model was trained on, its "
                f"{'file' if is_exported(run) else 'package'} does not tell: if they are, these numbers flatter it"
            )
        elif known == "train":
            _tell(f"the {len(image_ids)} images in '{split}' are those that this model was trained on")
        return
    train = read_json(run / "splits.json").get("train")
    trained = {name for name in train if isinstance(name, str)} if isinstance(train, list) else set()
    shared = sum(image_id in trained for image_id in image_ids)
    if shared:
        _tell(
            f"{shared} of the {len(image_ids)} images in '{split}' have the names of images that this run was trained "
            "on: if they are the same ones, these numbers flatter it"
        )


def _tell(line: str) -> None:
    print(f"lightdet: {shown(line)}", file=sys.stderr)
