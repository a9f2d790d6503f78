"""Where the scores of `lightdet threshold` come from: the files of an evaluation, or the network once more."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.core.shown import shown
from lightdet.data.image_labels import GOOD
from lightdet.engine.evaluate import write_numbers
from lightdet.engine.evaluate_run import warn_of_trained_images
from lightdet.engine.load import load_run
from lightdet.engine.measure_views import measure_views
from lightdet.engine.run_data import data_of
from lightdet.engine.tiled import scale_of_run, tiles_of
from lightdet.metric.image_scores import ImageScores, read_scores, scores_file
from lightdet.runs.folder import BEST, RunFolder
from lightdet.runs.trained_scale import Choice
from lightdet.runs.views import Views, views_of_evaluation

OVERLAP = 0.5  # of `predict`, where nobody changes it


def scores_of_run(
    run: Path,
    split: str = "val",
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    device: str = "cpu",
    trust_modules: bool = False,
    tiles: Choice = None,
    flips: Sequence[str] = (),
) -> tuple[ImageScores, Views]:
    """The scores of a split's images, of other data where `overrides` choose it, or those in `folder`, an evaluation's;
    and how the images were shown.

    The evaluation at the end of the training has those of the validation images, and no network is run for them. What
    makes the scores less than held out is told on stderr. Raises LightdetError for the training images, and for a
    model that gives no scores to sort images by.
    """
    if split == "train":
        raise LightdetError("split=train: the model was trained on these images, and their scores promise nothing")
    if folder is not None:
        if (file := scores_file(folder)) is None:
            raise LightdetError(f"{folder}: no detections.json or probabilities.json; give the folder of an evaluation")
        return read_scores(file, GOOD, OVERLAP), views_of_evaluation(folder)
    if split == "val" and not overrides:
        _tell(
            "the validation images also chose the checkpoint, so that they flatter it a little; images that chose "
            "nothing are better: split=test, or data=OPTION data.reader.root=FOLDER"
        )
        if not tiles and not flips and (file := _of_training(run)) is not None:
            return read_scores(file, GOOD, OVERLAP), Views()
    loaded = load_run(run, "best", device, overrides, trust_modules)
    data = data_of(loaded.config, loaded.classes)
    known = partial(scale_of_run, run, loaded, trust_modules)
    views = Views(tiles_of(tiles, loaded.model, loaded.image_size, known), tuple(flips))
    data.loader(split)
    records = data.records[split]
    warn_of_trained_images(run, split, [record.image_id for record in records])
    metric = measure_views(loaded.model, data, split, loaded.classes, views, device)[0].metric
    with TemporaryDirectory() as place:
        write_numbers(metric, records, Path(place))
        if (file := scores_file(Path(place))) is None:
            raise LightdetError(f"{run}: {type(loaded.model).__name__} gives images no scores to sort them by")
        return read_scores(file, getattr(loaded.model, "good", GOOD), OVERLAP), views


def _of_training(run: Path) -> Path | None:
    """The scores of the validation images from the end of the training, where they are those of its best checkpoint."""
    file, weights = scores_file(run), RunFolder(run).checkpoints / BEST
    if file is None or not weights.is_file() or file.stat().st_mtime < weights.stat().st_mtime:
        return None
    wanted, content = read_json(run / "splits.json").get("val"), read_json(file, 2**30).get("images")
    if not isinstance(wanted, list) or not isinstance(content, list):
        return None
    kept = [entry.get("id") for entry in content if isinstance(entry, dict)]
    return file if sorted(map(str, kept)) == sorted(map(str, wanted)) else None


def _tell(line: str) -> None:
    print(f"lightdet: {shown(line)}", file=sys.stderr)
