"""Runs an exported ONNX file on images. Needs numpy, OpenCV, Pillow and onnxruntime; no torch here."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.letterbox import Letterbox
from lightdet.data.image import as_channels
from lightdet.ops.letterbox import letterbox_image
from lightdet.runtime.contract import DETECTION, METADATA, ExportContract, read
from lightdet.runtime.result import Found, Judged, found, judged
from lightdet.runtime.sources import ImageLike, originals

INSTALL = "install onnxruntime (pip install onnxruntime)"


class Exported:
    """An exported model. Call it on a path, a folder, a glob, an array, a PIL image, or a list of them.

    threads: that compute; None: onnxruntime's choice. Raises LightdetError for a file that is missing, broken or not
    exported by lightdet.
    """

    def __init__(self, path: Path | str, threads: int | None = None) -> None:
        self.path = Path(path)
        self.session = _session(self.path, threads)
        self.contract: ExportContract = read(
            self.session.get_modelmeta().custom_metadata_map.get(METADATA), str(self.path)
        )
        self._takes_placing = self.contract.task == DETECTION
        self._check_ends()

    def __call__(self, images: ImageLike | Iterable[ImageLike]) -> list[Found | Judged]:
        """One result per image, in order. Raises LightdetError for what is no image or not readable."""
        results = []
        for original in originals(images, self.contract.bits):
            pixels = original.pixels
            placed, letterbox = self.place(pixels)
            output = self.run(placed[None], placing(letterbox)[None])
            make: Any = found if self.contract.task == DETECTION else judged
            results.append(make(output[0], original.path, pixels.shape[:2], self.contract, original.name))
            original.release()
        return results

    def _check_ends(self) -> None:
        """Raises LightdetError for a file whose inputs and outputs are not those of its contract."""
        count = len(self.contract.classes)
        inputs = {each.name: (each.type, len(each.shape)) for each in self.session.get_inputs()}
        outputs = {each.name: list(each.shape) for each in self.session.get_outputs()}
        wanted = {"images": ("tensor(uint8)", 4)} | ({"placing": ("tensor(float)", 2)} if self._takes_placing else {})
        first, last = (("detections", 6), 3) if self._takes_placing else (("probabilities", count), 2)
        shape = outputs.get(first[0], [])
        fits = len(shape) == last and (shape[-1] == first[1] or isinstance(shape[-1], str | None))
        if inputs != wanted or not fits or next(iter(outputs), "") != first[0] or not {*self.raw_outputs} <= {*outputs}:
            raise LightdetError(f"{self.path}: its inputs or outputs are not those of its contract; export it again")

    def place(self, pixels: np.ndarray) -> tuple[np.ndarray, Letterbox]:
        """(H, W, 3) uint8 RGB, original px -> the input (h, w, channels) uint8, and how the image lies in it."""
        return letterbox_image(as_channels(pixels, self.contract.channels), self.contract.image_size)

    def run(self, images: np.ndarray, places: np.ndarray) -> np.ndarray:
        """images (B, h, w, channels) uint8, places (B, 6), see `placing` -> the file's first output: detections
        (B, M, 6) as left, top, right, bottom in original px, score, label; or probabilities (B, C)."""
        return self.run_outputs(images, [self.session.get_outputs()[0].name], places)[0]

    def run_outputs(
        self, images: np.ndarray, outputs: Sequence[str], places: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """Named outputs of the file. Without `places` images count as placed unscaled."""
        if places is None:
            height, width = images.shape[1:3]
            places = np.tile(np.array([1, 1, 0, 0, width, height], np.float32), (len(images), 1))
        given = {"images": images} | ({"placing": places} if self._takes_placing else {})
        try:
            found: list[np.ndarray] = self.session.run(list(outputs), given)
        except Exception as error:  # its own kinds of error, without a common base
            reason = " ".join(str(error).split())[:200]
            raise LightdetError(f"{self.path}: onnxruntime cannot run it on {images.shape} ({reason})") from error
        columns = {"detections": 6, "boxes": 4}
        for name, values in zip(outputs, found, strict=True):
            if len(values) != len(images) or values.shape[-1] != columns.get(name, len(self.contract.classes)):
                raise LightdetError(f"{self.path}: gave {name} of shape {values.shape} for {len(images)} images")
        return found

    @property
    def raw_outputs(self) -> tuple[str, ...]:
        """The outputs in front of any selection."""
        return ("boxes", "scores") if self.contract.task == DETECTION else ("logits",)


def placing(letterbox: Letterbox) -> np.ndarray:
    """(6,) float32: scale x, scale y, left, top, original width, original height, as the file's input takes them.

    A box of the input in px, less left and top, over the scales, is a box in original px.
    """
    scales, shift = (letterbox.scale_x, letterbox.scale_y), (letterbox.left, letterbox.top)
    return np.array([*scales, *shift, letterbox.original_width, letterbox.original_height], np.float32)


def _session(path: Path, threads: int | None) -> Any:
    if not path.is_file():
        raise LightdetError(f"{path}: no such file")
    try:
        import onnxruntime
    except ImportError as error:
        raise LightdetError(f"{path} runs with onnxruntime, which is not installed; {INSTALL}") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own kinds of error, without a common base
        reason = str(error).strip().splitlines()[0][:200]
        raise LightdetError(f"{path}: onnxruntime cannot read this file ({reason})") from error
