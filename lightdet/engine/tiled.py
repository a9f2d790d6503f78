"""A detector on images larger than its training scale: the tiles that the training tells, and what is found in them."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from lightdet.core.annotation import Boxes
from lightdet.core.errors import LightdetError
from lightdet.core.shown import shown
from lightdet.core.types import Detections, Letterbox
from lightdet.data.module import ImageData
from lightdet.engine.load import LoadedRun
from lightdet.engine.run_data import data_of, run_config
from lightdet.metric.frame import check_finite, detections_to_original
from lightdet.model.contract import Model
from lightdet.ops.grid import ImageSize
from lightdet.ops.letterbox import letterbox_image
from lightdet.ops.seams import Pieces
from lightdet.ops.tiles import Tiles
from lightdet.runs.trained_scale import UNKNOWN, Choice, TrainedScale, tiles_for
from lightdet.runtime.tiled import find_in_tiles

QUANTILE = 0.99  # of the sides of the training boxes


def scale_of_data(data: ImageData) -> TrainedScale | None:
    """The scale of the training images, and the size of their boxes. None where images are not annotated by boxes.

    Decodes no image.
    """
    records = data.records.get("train", [])
    if not any(isinstance(record.annotation, Boxes) for record in records):
        return None
    scales = [min(placed.scale_x, placed.scale_y) for placed in data.placings("train")]
    corners = np.concatenate([record.boxes_xyxy for record in records]).astype(float)
    if not len(corners):
        return TrainedScale(float(np.median(scales)), None, None)
    width, height = np.quantile(corners[:, 2:] - corners[:, :2], QUANTILE, axis=0).tolist()
    return TrainedScale(float(np.median(scales)), height or None, width or None)


def scale_of_run(run: Path, loaded: LoadedRun, trust_modules: bool = False) -> TrainedScale:
    """What the training wrote; for a run of older code, computed from its data, whatever data it is measured on.

    Raises LightdetError where neither is there.
    """
    if loaded.scale is not None:
        return loaded.scale
    give = "give the side of a tile in px, such as 640"
    try:
        found = scale_of_data(data_of(run_config(run, trust_modules), loaded.classes))
    except LightdetError as error:
        raise LightdetError(f"{run}: does not tell the scale of its training ({error}); {give}") from error
    if found is None:
        raise LightdetError(f"{run}: its training images have no boxes; {give}")
    return found


def tiles_of(
    choice: Choice, model: Model, image_size: ImageSize, scale: Callable[[], TrainedScale] | None
) -> Tiles | None:
    """The tiles of a choice; None for none. `scale` gives that of the training, None: it is not known.

    Raises LightdetError for a model without boxes, for a side that is none, and where the scale must be known.
    """
    if choice is None or choice is False:
        return None
    require_detector(model)
    known = None
    if scale is not None and not isinstance(choice, Tiles):
        try:
            known = scale()
        except LightdetError as error:
            if choice is True:
                raise
            print(f"lightdet: {shown(str(error))}; tiles overlap by {UNKNOWN:.0%} of their side", file=sys.stderr)
    return tiles_for(choice, image_size, known)


def require_detector(model: Model) -> None:
    """Raises LightdetError for a model without boxes, which cannot be joined across tiles."""
    if model.annotation is not Boxes:
        raise LightdetError(f"tiles: {type(model).__name__} judges whole images and gives no boxes; leave tiles out")


@torch.inference_mode()
def detect_in_tiles(
    model: Model, pixels: np.ndarray, tiles: Tiles, image_size: ImageSize, device: str | torch.device, name: str
) -> Detections:
    """What a detector finds in the tiles of an image (H, W, channels) uint8, in original px; each tile is placed into
    the input as an image is. Raises LightdetError, which begins with `name`, for a box or score that is not finite."""

    def detect(cut: Sequence[np.ndarray]) -> list[Pieces]:
        placed = [letterbox_image(np.ascontiguousarray(tile), image_size) for tile in cut]
        batch = torch.from_numpy(np.stack([image for image, _ in placed])).to(device).permute(0, 3, 1, 2).float() / 255
        found = []
        for each, (_, letterbox) in zip(model.predict(batch), placed, strict=True):
            check_finite(each, name)
            moved = detections_to_original(each, letterbox)
            found.append(Pieces(moved.boxes_xyxy.numpy(), moved.scores.numpy(), moved.labels.numpy()))
        return found

    return Detections(*map(torch.from_numpy, find_in_tiles(pixels, tiles, detect)))


def unscaled(pixels: np.ndarray) -> Letterbox:
    """The letterbox of an image whose boxes are in original px already."""
    height, width = pixels.shape[:2]
    return Letterbox(1.0, 1.0, 0.0, 0.0, height, width)
