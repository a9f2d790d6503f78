"""What files are made from: a finished run's model, the settings of its detections, and its data."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lightdet.core.progress import watched
from lightdet.data.module import ImageData
from lightdet.engine.evaluate import measure
from lightdet.engine.load import LoadedRun, load_run
from lightdet.engine.run_data import data_of
from lightdet.export.origin import require_results, told_of
from lightdet.export.whole import takes_one_image
from lightdet.metric.contract import Metric
from lightdet.metric.costs import cost_matrix
from lightdet.metric.footprint import footprint
from lightdet.model.classifier import Classifier
from lightdet.model.contract import Model
from lightdet.model.detector import DenseDetector
from lightdet.model.folded import folded
from lightdet.ops.grid import ImageSize
from lightdet.runs.folder import RunFolder
from lightdet.runtime.contract import FILE, FORMAT, PHOTO, PLACED, RUNTIME, SCHEMA
from lightdet.runtime.selection import Selection

OVERLAP = 0.5  # of `predict`: above it the lower scored of two boxes of any class is dropped
NO_THRESHOLD = 0.25  # least score where a run has none
NUMBERS = "scale x, scale y, left, top, original width, original height"
AS_IT_IS = "uint8 (height, width, 3), RGB, of any size"
BEFORE = (  # what the caller of a file that takes an image as it is has to do: `data/image.py` in words
    "turn the image as its EXIF orientation says; repeat grey three times; drop alpha; make 8 bits of more by "
    "floor(min(value, limit) * 255 / limit + 0.5) with limit = 2 ** bits - 1 or, where bits is null, 4095 for an image "
    "whose values are all at most that, else 65535"
)


@dataclass(frozen=True)
class Source:
    """A run whose model is exported. open_size: the file takes images of other sizes than the training's, too. photo:
    it takes one image as it is, and places it itself."""

    run: RunFolder
    results: dict[str, Any]
    loaded: LoadedRun
    data: ImageData
    open_size: bool = False
    photo: bool = False
    licence: str | None = None
    split: str = field(default="val")  # whose images judge the file

    @property
    def image_size(self) -> ImageSize:
        """Of the input, px."""
        return self.loaded.image_size

    @cached_property
    def model(self) -> Model:
        """A copy in eval mode with its BatchNorm folded."""
        return folded(self.loaded.model, self.image_size)

    @cached_property
    def thresholds(self) -> tuple[float, ...]:
        """Least score of each class; () for a classifier that decides one class."""
        if isinstance(self.loaded.model, Classifier):
            return ()
        count = len(self.loaded.classes)
        if self.loaded.promise is not None:
            return tuple(self.loaded.promise.least(count))
        return (NO_THRESHOLD if self.loaded.threshold is None else self.loaded.threshold,) * count

    @cached_property
    def selection(self) -> Selection | None:
        """How scored boxes become detections; None for a classifier."""
        model = self.loaded.model
        if not isinstance(model, DenseDetector):
            return None
        return Selection(self.thresholds, model.nms_iou, OVERLAP, model.max_detections)

    @cached_property
    def scores(self) -> Metric:
        """Of the model, on all images of the split that judges."""
        return self.measured(self.loaded.model, "model")

    def measured(self, model: Model, word: str) -> Metric:
        """What a model reaches on the split that judges. `word` names it beside the progress bar."""
        loader = self.data.loader(self.split)
        return measure(model, watched(loader, len(loader), f"batches, {word}"), self.data.classes)

    def contract(self, form: str, precision: str, selects: bool, one_image: bool) -> dict[str, Any]:
        """What a file of this format and precision tells of itself, see `runtime/contract.py`. selects, one_image: as
        of the format."""
        told = told_of(self.run, self.results, self.loaded, self.licence)
        selected = self.selection is not None
        given = {
            **told["input"],
            "form": PHOTO if self.photo else PLACED,
            "name": "image" if self.photo else "images",
            "layout": AS_IT_IS if self.photo else "uint8 (images, height, width, channels)",
            "open_size": self.open_size,
            "one_image": one_image or self.photo or takes_one_image(self.loaded.model),
            "range": [0, 255],
            "placing": NUMBERS if selected and not self.photo else None,
        }
        if self.photo:
            given["before"] = BEFORE
        head = {"format": FORMAT, "schema": SCHEMA, "file": form, "precision": {"name": precision}}
        macs = footprint(self.model.network, self.image_size)["macs"]
        return {
            **head,
            **told,
            "model": {**told["model"], "macs": macs},
            "input": given,
            "output": self._output(selects),
        }

    def _output(self, selects: bool) -> dict[str, Any]:
        if self.selection is not None:
            return {
                "name": "detections" if selects else "boxes, scores",
                "selected_by": FILE if selects else RUNTIME,
                "columns": ["left", "top", "right", "bottom", "score", "label"],
                "frame": "original px",
                "unused_rows": "none" if self.photo else "label -1",
                "thresholds": list(self.selection.thresholds),
                "nms_iou": self.selection.nms_iou,
                "overlap": self.selection.overlap,
                "max_detections": self.selection.max_detections,
            }
        model: Any = self.loaded.model
        if self.thresholds:
            return {"name": "probabilities", "thresholds": list(self.thresholds)}
        return {
            "name": "probabilities",
            "costs": cost_matrix(model.costs, self.loaded.classes).tolist(),
            "decision": model.decision,
            "good": model.good,
        }


def source_of(
    run: RunFolder,
    trust_modules: bool = False,
    open_size: bool = False,
    licence: str | None = None,
    photo: bool = False,
) -> Source:
    """Raises LightdetError for a run without results, and where its data cannot be read: a file that nobody checked is
    not written."""
    results = require_results(run)
    loaded = load_run(run.path, trust_modules=trust_modules)
    return Source(run, results, loaded, data_of(loaded.config, loaded.classes), open_size, photo, licence)
