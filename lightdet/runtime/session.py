"""Runs an exported file on images, in the runtime that its ending names. No torch here."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.letterbox import Letterbox
from lightdet.core.named import named
from lightdet.data.image import as_channels
from lightdet.ops.tiles import Tiles
from lightdet.runs.exported import EXPORTED
from lightdet.runs.trained_scale import Choice, tiles_for
from lightdet.runs.views import Views
from lightdet.runtime.contract import DETECTION, ExportContract, read
from lightdet.runtime.engine.contract import Engine
from lightdet.runtime.engine.ends import BOXES, DETECTIONS, LOGITS, PROBABILITIES, SCORES
from lightdet.runtime.result import MAKERS, Answer
from lightdet.runtime.rows_in_tiles import rows_in_tiles
from lightdet.runtime.selection import select
from lightdet.runtime.sources import ImageLike, Original, originals

if TYPE_CHECKING:  # it imports OpenCV
    from lightdet.runtime.stream import Failed, Words


class Exported:
    """An exported model. Call it on a path, a folder, a glob, an array, a PIL image, or a list of them.

    threads: that compute; None: the runtime's choice. Raises LightdetError for a file that is missing, broken or not
    exported by lightdet.
    """

    def __init__(self, path: Path | str, threads: int | None = None) -> None:
        self.path = Path(path)
        self.engine = _open(self.path, threads)
        self.contract: ExportContract = read(self.engine.metadata, str(self.path))
        self._alone = nullcontext() if self.engine.reentrant else threading.Lock()
        self._selects = self.contract.task == DETECTION and self.contract.selects
        self._takes_placing = self._selects and not self.contract.photo
        self._first = next(iter(self.engine.outputs), "")
        self.tiles: Tiles | None = None  # in which larger images are shown, unless a call says otherwise
        self._check_ends()

    def __call__(self, images: ImageLike | Iterable[ImageLike], tiles: Choice = None) -> list[Answer]:
        """One result per image, in order. `tiles`: a detector is shown what is larger than a tile in tiles; True: as
        large as the training images; a number: the longer side of a tile, original px; None: as `self.tiles` says.

        Raises LightdetError for what is no image or not readable, and as `tiling` and `require_views` do.
        """
        chosen = self.tiles if tiles is None else self.tiling(tiles)
        self.require_views(chosen)
        return [self._predict(original, chosen) for original in originals(images, self.contract.bits)]

    def stream(
        self,
        source: "Words",
        watch: bool = False,
        idle_seconds: float | None = None,
        failed: "Failed | None" = None,
        threads: int | None = None,
    ) -> Iterator[Answer]:
        """The result of each image or frame of a source, one after the other: see `lightdet.runtime.stream.stream`.

        Each image is computed by the threads of the file, so load it with `threads=1`. Raises LightdetError where
        OpenCV is missing, which reads videos and cameras.
        """
        try:
            from lightdet.runtime.stream import stream
        except ImportError as error:
            raise LightdetError("a stream needs OpenCV (pip install opencv-python-headless)") from error
        self.require_views(self.tiles)
        predict = partial(self._predict, tiles=self.tiles)
        return stream(source, predict, self.contract.bits, watch, idle_seconds, failed, threads)

    def _predict(self, original: Original, tiles: Tiles | None) -> Answer:
        pixels = original.pixels
        make: Any = MAKERS[self.contract.task]
        answer = self.answer(pixels) if tiles is None else self._answer_in_tiles(pixels, tiles, original.name)
        result: Answer = make(answer, original.path, pixels.shape[:2], self.contract, original.name)
        original.release()
        return replace(result, frame=original.frame)

    def tiling(self, choice: Choice) -> Tiles | None:
        """The tiles of a choice, see `__call__`; None for none. Raises LightdetError for a classifier, and for a scale
        of the training that is not known."""
        tiles = tiles_for(choice, self.contract.image_size, self.contract.scale)
        if tiles is not None and self.contract.task != DETECTION:
            raise LightdetError(f"{self.path}: judges whole images and gives no boxes; leave tiles out")
        return tiles

    def require_views(self, tiles: Tiles | None) -> None:
        """Raises LightdetError for thresholds that were promised for other views."""
        if self.contract.promise is not None:
            self.contract.promise.require(Views(tiles))

    def _answer_in_tiles(self, pixels: np.ndarray, tiles: Tiles, name: str) -> np.ndarray:
        if tiles.is_one(*pixels.shape[:2]):
            return self.answer(pixels)
        overlap = self.contract.content["output"].get("overlap")
        return rows_in_tiles(self.answer, pixels, tiles, overlap, name)

    def _check_ends(self) -> None:
        """Raises LightdetError for a file whose inputs and outputs are not those of its contract."""
        wanted = {"images": ("uint8", 4)} | ({"placing": ("float32", 2)} if self._takes_placing else {})
        first = DETECTIONS if self._selects else self.raw_outputs[0] if self.contract.selection else PROBABILITIES
        axes = 2 if first == PROBABILITIES else 3
        if self.contract.photo:
            wanted, axes = {"image": ("uint8", 3)}, axes - 1
        outputs = self.engine.outputs
        shape = outputs.get(first, ())
        fits = len(shape) == axes and shape[-1] in (self._columns(first), None) and self._first == first
        if dict(self.engine.inputs) != wanted or not fits or not {*self.raw_outputs} <= {*outputs}:
            raise LightdetError(f"{self.path}: its inputs or outputs are not those of its contract; export it again")

    def _columns(self, output: str) -> int:
        return {DETECTIONS: 6, BOXES: 4}.get(output, len(self.contract.classes))

    def answer(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB, original px -> detections or probabilities of this image, see `run`."""
        if self.contract.photo:
            return self._outputs([self._first], {"image": pixels}, 1)[0][0]
        placed, letterbox = self.place(pixels)
        return self.run(placed[None], placing(letterbox)[None])[0]

    def place(self, pixels: np.ndarray) -> tuple[np.ndarray, Letterbox]:
        """(H, W, 3) uint8 RGB, original px -> the input (h, w, channels) uint8, and how the image lies in it."""
        try:  # needs OpenCV, which files that place images do without
            from lightdet.ops.letterbox import letterbox_image
        except ImportError as error:
            needed = "images are placed with OpenCV, which is not installed (pip install opencv-python-headless)"
            raise LightdetError(f"{self.path}: {needed}; a file of `--input photo` does without it") from error

        return letterbox_image(as_channels(pixels, self.contract.channels), self.contract.image_size)

    def run(self, images: np.ndarray, places: np.ndarray) -> np.ndarray:
        """images (B, h, w, channels) uint8, places (B, 6), see `placing` -> detections (B, M, 6) as left, top, right,
        bottom in original px, score, label; or probabilities (B, C)."""
        if self.contract.selection is None or self._selects:
            return self.run_outputs(images, [self._first], places)[0]
        boxes, scores = self.run_outputs(images, (BOXES, SCORES), places)
        return select(boxes, scores, places, images.shape[1:3], self.contract.selection)

    def run_outputs(
        self, images: np.ndarray, outputs: Sequence[str], places: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """Named outputs of the file. Without `places` images count as placed unscaled; a file that places its image
        itself takes one that is placed already, and leaves it as it is."""
        if self.contract.photo:
            if len(images) != 1:
                raise LightdetError(f"{self.path}: takes one image at a time")
            coloured = images[0] if images.shape[3] == 3 else np.repeat(images[0], 3, axis=2)
            return self._outputs(outputs, {"image": coloured}, 1)
        if places is None:
            height, width = images.shape[1:3]
            places = np.tile(np.array([1, 1, 0, 0, width, height], np.float32), (len(images), 1))
        given = {"images": images} | ({"placing": places} if self._takes_placing else {})
        return self._outputs(outputs, given, len(images))

    def _outputs(self, outputs: Sequence[str], given: Mapping[str, np.ndarray], images: int) -> list[np.ndarray]:
        """Named outputs for that many images, which are along the first axis of each."""
        try:
            with self._alone:
                found = self.engine.run(outputs, given)
        except Exception as error:  # its own kinds of error, without a common base
            reason = " ".join(str(error).split())[:200]
            shape = next(iter(given.values())).shape
            raise LightdetError(f"{self.path}: {self.engine.runtime} cannot run it on {shape} ({reason})") from error
        if self.contract.photo:
            found = [
                values[None] if name == self._first else values for name, values in zip(outputs, found, strict=True)
            ]
        for name, values in zip(outputs, found, strict=True):
            if len(values) != images or values.shape[-1] != self._columns(name):
                raise LightdetError(f"{self.path}: gave {name} of shape {values.shape} for {images} images")
        return found

    @property
    def raw_outputs(self) -> tuple[str, ...]:
        """The outputs in front of any selection."""
        return (BOXES, SCORES) if self.contract.task == DETECTION else (LOGITS,)


def placing(letterbox: Letterbox) -> np.ndarray:
    """(6,) float32: scale x, scale y, left, top, original width, original height, as the file's input takes them.

    A box of the input in px, less left and top, over the scales, is a box in original px.
    """
    scales, shift = (letterbox.scale_x, letterbox.scale_y), (letterbox.left, letterbox.top)
    return np.array([*scales, *shift, letterbox.original_width, letterbox.original_height], np.float32)


def _open(path: Path, threads: int | None) -> Engine:
    """The file in the runtime that its ending names; the runtimes of other endings are not imported."""
    name = EXPORTED.get(path.suffix.lower())
    if name is None:
        raise LightdetError(f"{path}: no exported file, which ends in {', '.join(EXPORTED)}")
    if not path.is_file():
        raise LightdetError(f"{path}: {'a folder, and no exported file' if path.is_dir() else 'no such file'}")
    engine: Engine = named(f"lightdet.runtime.engine.{name}:open_file")(path, threads)
    return engine
