"""Applies a trained model: images in, results in original px out."""

import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from lightdet.core.errors import LightdetError, demand_share
from lightdet.core.named import named
from lightdet.core.types import Letterbox
from lightdet.data.image import as_channels
from lightdet.engine.load import load_run
from lightdet.engine.result import Result, ResultSettings
from lightdet.engine.tiled import detect_in_tiles, scale_of_run, tiles_of, unscaled
from lightdet.engine.two_stage import Stage2, with_stage2
from lightdet.model.contract import Model
from lightdet.model.flipped import flipped
from lightdet.model.folded import folded
from lightdet.nn.inputs import in_channels
from lightdet.ops.grid import ImageSize, height_width, size_text
from lightdet.ops.letterbox import letterbox_image
from lightdet.ops.tiles import Tiles
from lightdet.runs.promise import Promise
from lightdet.runs.trained_scale import Choice, TrainedScale
from lightdet.runs.views import Views
from lightdet.runtime.sources import ImageLike, Original, originals
from lightdet.runtime.stream import Failed, Words, stream

DEFAULT_THRESHOLD = 0.25  # where a run did not measure its own
MOST_TIMED = 10_000  # images
ROUNDS = 5  # of a measurement of time
DEFAULT_OVERLAP = 0.5  # IoU of two boxes, of any class, that count as one


class Stopwatch:
    """Milliseconds of each named step, one value per image; of the last images, where there are many."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.milliseconds: dict[str, deque[float]] = defaultdict(partial(deque, maxlen=MOST_TIMED))

    @contextmanager
    def step(self, name: str, device: str = "cpu") -> Iterator[None]:
        """Times the block; on an accelerator, including its queued work."""
        start = perf_counter()
        yield
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        self.milliseconds[name].append((perf_counter() - start) * 1000)


class Predictor:
    """Calls a model on images, one at a time.

    `threshold` is the least score that is reported, `overlap` the IoU above which the lower scored of two boxes is
    dropped; both may be changed between calls.
    """

    def __init__(
        self,
        model: Model,
        classes: Sequence[str],
        image_size: ImageSize,
        threshold: float = DEFAULT_THRESHOLD,
        overlap: float = DEFAULT_OVERLAP,
        bits: int | None = None,
        device: str = "cpu",
        threshold_from: str = "as given",
        promise: Promise | None = None,
        scale: Callable[[], TrainedScale] | None = None,
    ) -> None:
        """`model` is on `device`; `bits` are those of the camera (`read_image`). `promise` holds while `threshold` is
        its own. `scale` gives that of the training, for tiles.

        Raises LightdetError for a threshold or overlap outside of 0..1.
        """
        demand_share("threshold", threshold)
        demand_share("overlap", overlap)
        self.model = model
        self.classes = tuple(classes)
        self.image_size = image_size  # px, of the network input
        self.channels = in_channels(getattr(model, "network", None))
        if self.channels not in (1, 3):
            raise LightdetError(
                f"channels={self.channels}: this model compares an image with its reference, and there is none here; "
                "measure it on a dataset with `lightdet evaluate`"
            )
        self.threshold = threshold
        self.threshold_from = threshold_from  # in words
        self.promise = promise
        self.overlap = overlap
        self.bits = bits
        self.device = device
        self.scale = scale
        self.tiles: Tiles | None = None  # in which larger images are shown, unless a call says otherwise
        self.flips: tuple[str, ...] = getattr(model, "flips", ())
        self.result_type = result_type(model)
        self.reentrant: bool = getattr(model, "reentrant", False)  # whether several threads may predict at once
        self._pixels: bool = getattr(model, "takes_pixels", False)
        self._alone = nullcontext() if self.reentrant else threading.Lock()

    def __call__(self, images: ImageLike | Iterable[ImageLike], tiles: Choice = None) -> list[Any]:
        """One result per image, in order: a `DetectionResult` for a detector.

        `images` is a path, folder or glob, an (H, W) or (H, W, 3) RGB array of uint8 or uint16, a PIL image, or any
        number of them. `tiles`: what is larger than a tile is shown in tiles; True: as large as the training images; a
        number: the longer side of a tile, original px; None: as `self.tiles` says. Raises LightdetError for what is no
        image, is not readable, or breaks the model, and for a promised threshold that holds for other views.
        """
        chosen = self.tiles if tiles is None else self.tiling(tiles)
        results = []
        for original in originals(images, self.bits):
            results.append(self.predict(original, Stopwatch(self.device), chosen))
            original.release()
        return results

    def stream(
        self,
        source: Words,
        watch: bool = False,
        idle_seconds: float | None = None,
        failed: Failed | None = None,
        threads: int | None = None,
    ) -> Iterator[Any]:
        """The result of each image or frame of a source, one after the other: see `lightdet.runtime.stream.stream`."""

        def predict(original: Original) -> Result:
            return self.predict(original, Stopwatch(self.device), self.tiles)

        return stream(source, predict, self.bits, watch, idle_seconds, failed, threads)

    def tiling(self, choice: Choice) -> Tiles | None:
        """The tiles of a choice, see `__call__`. Raises LightdetError for a model without boxes, and where the scale of
        the training is not known."""
        return tiles_of(choice, self.model, self.image_size, self.scale)

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Run the model on a grey image: the first call takes longer than all others. Raises LightdetError for a
        promised threshold that holds for other views."""
        self.require_promise()
        self.model.predict(self._grey())

    def require_promise(self) -> None:
        """Raises LightdetError for a promised threshold that holds for other views."""
        self._promise(self.tiles)

    def _grey(self) -> Tensor:
        return torch.full((1, self.channels, *height_width(self.image_size)), 0.5, device=self.device)

    @torch.inference_mode()
    def price_of_flips(self) -> str:
        """The time of an input with and without the flips, in words: medians of `ROUNDS` on a grey image, in turns."""
        grey, watch = self._grey(), Stopwatch(self.device)
        for _ in range(ROUNDS):
            for name, model in (("with", self.model), ("without", getattr(self.model, "model", self.model))):
                with watch.step(name, self.device):
                    model.predict(grey)
        seen, plain = (median(watch.milliseconds[name]) for name in ("with", "without"))
        return f"with flips {seen:.1f} ms an input, without {plain:.1f}: {seen / plain:.2f} x"

    @torch.inference_mode()
    def predict(self, original: Original, watch: Stopwatch, tiles: Tiles | None = None) -> Result:
        """The result of one image, which is shown in `tiles` where it is larger than one; None: whole. Raises
        LightdetError for a file that is not readable and for NaN."""
        promise = self._promise(tiles)
        with watch.step("read"):
            pixels = original.pixels
        if tiles is not None and not tiles.is_one(*pixels.shape[:2]):
            with self._alone, watch.step("detect", self.device):
                values = as_channels(pixels, self.channels)
                found = self.model, values, tiles, self.image_size, self.device, original.name
                prediction, letterbox = detect_in_tiles(*found), unscaled(pixels)
        else:
            with watch.step("letterbox", self.device):
                batch, letterbox = self._placed(pixels) if self._pixels else self.placed(pixels)
            with self._alone, watch.step("detect", self.device):
                (prediction,) = self.model.predict(batch)
        settings = self.classes, self.threshold, self.overlap, self.model, self.threshold_from, promise
        return self.result_type(prediction, original, letterbox, ResultSettings(*settings))

    def _promise(self, tiles: Tiles | None) -> Promise | None:
        """The promise, where the threshold is its own."""
        if self.promise is None or self.promise.threshold != self.threshold:
            return None
        self.promise.require(Views(tiles, self.flips))
        return self.promise

    def placed(self, pixels: np.ndarray) -> tuple[Tensor, Letterbox]:
        """An image (H, W, 3) uint8 RGB -> the model's input (1, C, H, W) 0..1 on its device, and how it lies there."""
        image, letterbox = self._placed(pixels)
        return image.float() / 255, letterbox

    def _placed(self, pixels: np.ndarray) -> tuple[Tensor, Letterbox]:
        """The same as uint8."""
        image, letterbox = letterbox_image(as_channels(pixels, self.channels), self.image_size)
        return torch.from_numpy(image).to(self.device).permute(2, 0, 1)[None], letterbox

    def __repr__(self) -> str:
        classes, size = ", ".join(self.classes), size_text(self.image_size)
        return f"<{type(self.model).__name__} at {size}, score >= {self.threshold:.3g}: {classes}>"


def load_predictor(
    run: Path,
    checkpoint: str = "best",
    device: str = "cpu",
    threshold: float | None = None,
    overlap: float = DEFAULT_OVERLAP,
    trust_modules: bool = False,
    stage2: Stage2 | None = None,
    tiles: Choice = None,
    flips: Sequence[str] = (),
    threads: int | None = None,
) -> Predictor:
    """The model of a run or a package with its input size, its `data.bits` and, unless one is given, its threshold:
    the one that `lightdet threshold` froze, otherwise that of the best F1.

    BatchNorm is folded, so that scores agree with those of `lightdet evaluate` up to rounding. `stage2`: a classifier
    that judges the boxes; the threshold is compared with the product of both scores. `tiles`: see `Predictor.__call__`.
    `flips`: in which images are shown besides (`lightdet.ops.flips`). `threads`: those that compute an exported file.
    Raises LightdetError as `load_run`, `with_stage2` and `Predictor.tiling` do.
    """
    loaded = load_run(run, checkpoint, device, trust_modules=trust_modules, threads=threads)
    said, promise = "as given", None
    if stage2 is not None and loaded.promise is not None:
        print("lightdet: the promise of the run's threshold holds for one stage, and is not used", file=sys.stderr)
        loaded = replace(loaded, promise=None)
    if threshold is None and loaded.promise is not None:
        promise = loaded.promise
        threshold, said = promise.threshold, promise.said
    elif threshold is None and loaded.threshold is not None:
        threshold, said = loaded.threshold, result_type(loaded.model).own_threshold
    elif threshold is None:
        threshold, said = DEFAULT_THRESHOLD, "the default, as the run has measured none"
    if stage2 is not None and said != "as given":
        said = f"{said}, without the second stage"
    loaded = replace(loaded, model=folded(loaded.model, loaded.image_size))
    if stage2 is not None:
        loaded = with_stage2(loaded, stage2, device, trust_modules)
    loaded = replace(loaded, model=flipped(loaded.model, flips))
    bits = OmegaConf.select(loaded.config, "data.bits")
    size = loaded.image_size
    scale = cache(partial(scale_of_run, run, loaded, trust_modules))
    predictor = Predictor(loaded.model, loaded.classes, size, threshold, overlap, bits, device, said, promise, scale)
    predictor.tiles = predictor.tiling(tiles)
    return predictor


def result_type(model: Model) -> type[Result]:
    """The class that the model's attribute `result` names as module:class."""
    found: type[Result] = named(model.result)
    return found
