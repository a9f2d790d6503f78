"""Pictures of images with what a classifier says of each, the wrong ones first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightdet.core.errors import one_line
from lightdet.data.image import read_image
from lightdet.data.record import Record
from lightdet.draw.attempt import refuse_failed, replacing, save_picture
from lightdet.draw.page import Cell, contact_sheet, with_header
from lightdet.draw.panel import panel_scale, resize

THUMBNAIL = 220  # px; longest side of an image on the contact sheet
OVERVIEW = "overview.png"
PICTURE_NAME = re.compile(r"\d{3,}-(wrong|right)-.*\.png")


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """What is decided of one image."""

    image_id: str
    title: str  # the decision in words, with the truth where it is wrong
    wrong: bool
    sure: float  # 0..1: how sure the decision is; of a wrong image the surest mistake


def write_pictures(folder: Path, judged: Sequence[JudgedImage], known: dict[str, Record], limit: int) -> list[Path]:
    """`000-wrong-<image>.png`, the surest mistakes first, then the least sure right ones, and overview.png with all of
    them. Pictures of an earlier call are replaced. `known`: records by image id. Raises LightdetError when all others
    are written, if an image could not be read or drawn."""
    shown = [image for image in sorted(judged, key=_badness) if image.image_id in known][:limit]
    cells: list[Cell] = []
    failed: list[str] = []
    with replacing(folder, lambda name: name == OVERVIEW or PICTURE_NAME.fullmatch(name)) as paths:
        for rank, image in enumerate(shown):
            record = known[image.image_id]
            try:
                pixels = read_image(record.path, record.bits)
                page = captioned(
                    resize(pixels, panel_scale(*pixels.shape[:2])), image.title, image.wrong, image.image_id
                )
                name = f"{rank:03d}-{'wrong' if image.wrong else 'right'}-{record.path.stem[:60]}.png"
                paths.append(save_picture(page, folder / name))
                small = resize(pixels, THUMBNAIL / max(pixels.shape[:2]))
                cells.append(Cell(small, image.title, image.image_id, image.wrong))
            except Exception as error:
                failed.append(one_line(error))
        if cells:
            title = f"{sum(image.wrong for image in judged)} of {len(judged)} images are wrong"
            sheet = contact_sheet(cells, title, "the surest mistakes first, then the least sure right ones", [])
            paths.append(save_picture(sheet, folder / OVERVIEW))
    refuse_failed(failed, len(shown))
    return paths


def captioned(image: np.ndarray, text: str, alarming: bool, title: str = "") -> np.ndarray:
    """An image (H, W, 3) uint8 RGB under a line of text, and a title where one is given."""
    return with_header(image, title or text, text if title else "", alarming, [])


def _badness(image: JudgedImage) -> tuple[bool, float, str]:
    return (not image.wrong, -image.sure if image.wrong else image.sure, image.image_id)
