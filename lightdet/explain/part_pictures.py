"""The pictures of a part's page, each at the size at which it is shown, as data URIs."""

import base64
import io
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from lightdet.core.errors import LightdetError
from lightdet.core.types import Subject
from lightdet.data.image import read_image
from lightdet.draw.heat import colours, over
from lightdet.draw.palette import class_colour
from lightdet.draw.panel import Mark, Rectangle, draw_marks, resize
from lightdet.explain.explain import Explained
from lightdet.explain.nearest import Item
from lightdet.explain.picture import marked

SIDE = 440  # px; longer side of an image on the page
THUMBNAIL = 132  # px; longer side of a training image, and of an image of a lot
CONTEXT = 2.5  # sides of a box that its close-up shows
LEAST_CLOSE_UP = 48  # original px
CLOSE_UP_BELOW = 0.5  # share of the image's longer side; a larger box needs none
QUALITY = 82  # of JPEG
THUMBNAILS_KEPT = 512


class Pictures:
    """Makes the pictures of one explained image; `sources` has them by name."""

    def __init__(self, explained: Explained) -> None:
        image = explained.result.image
        self._explained = explained
        self._image = image
        self._scale = SIDE / max(image.shape[:2])
        subjects = dict.fromkeys((each.subject, each.name) for each in explained.explanations)
        found = (marked(explained, subject, f"{name} {subject.score:.2f}") for subject, name in subjects)
        self.sources = {
            "image": self._drawn(image, [mark for mark in found if mark]),
            "thumbnail": data_uri(resize(image, THUMBNAIL / max(image.shape[:2]))),
        }

    def add_map(self, name: str, heat: np.ndarray, subject: Subject) -> None:
        """A map (H, W) in original px: over the image as `name`, alone as `name`-alone; the first one as a thumbnail
        too."""
        mark = marked(self._explained, subject, "")
        laid = over(self._image, heat)
        self.sources[name] = self._drawn(laid, [mark] if mark else [], labelled=False)
        self.sources[f"{name}-alone"] = self._drawn(colours(heat), [mark] if mark else [], labelled=False)
        if "thumbnail-map" not in self.sources:
            self.sources["thumbnail-map"] = data_uri(resize(laid, THUMBNAIL / max(laid.shape[:2])))

    def add_close_up(self, name: str, heat: np.ndarray, box_xyxy: Rectangle, subject: Subject) -> None:
        """A box that is small in its image: the image around it, beside the same under the map."""
        left, top, right, bottom = box_xyxy
        if max(right - left, bottom - top) > CLOSE_UP_BELOW * max(self._image.shape[:2]):
            return
        whole = np.concatenate((self._image, over(self._image, heat)), axis=2)
        cut, inside = around(whole, box_xyxy)
        mark = Mark(inside, class_colour(subject.label), "")
        scale = SIDE / 2 / max(cut.shape[:2])
        halves = [
            draw_marks(np.ascontiguousarray(half), [mark], scale, labelled=False) for half in np.split(cut, 2, axis=2)
        ]
        self.sources[name] = data_uri(np.concatenate(halves, axis=1))

    def add_neighbour(self, name: str, item: Item) -> None:
        """A training image, or the surroundings of its box; nothing where its file has become unreadable."""
        with suppress(LightdetError):
            self.sources[name] = _thumbnail(item.record.path, item.record.bits, item.box_xyxy, item.labels)

    def _drawn(self, image: np.ndarray, marks: list[Mark], labelled: bool = True) -> str:
        return data_uri(draw_marks(image, marks, self._scale, labelled))


def around(image: np.ndarray, box_xyxy: Rectangle) -> tuple[np.ndarray, Rectangle]:
    """The part of an image (H, W, C) around a box, px, square where the image allows it; and the box in it."""
    left, top, right, bottom = box_xyxy
    side = max(CONTEXT * max(right - left, bottom - top), LEAST_CLOSE_UP)
    columns = _span((left + right) / 2, side, image.shape[1])
    rows = _span((top + bottom) / 2, side, image.shape[0])
    inside = left - columns.start, top - rows.start, right - columns.start, bottom - rows.start
    return image[rows, columns], inside


def data_uri(image: np.ndarray) -> str:
    """An image (H, W, 3) uint8 RGB as the value of `src`."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


@lru_cache(maxsize=THUMBNAILS_KEPT)
def _thumbnail(path: Path, bits: int | None, box_xyxy: Rectangle | None, labels: tuple[int, ...]) -> str:
    image = read_image(path, bits)
    if box_xyxy is None:
        return data_uri(resize(image, THUMBNAIL / max(image.shape[:2])))
    cut, inside = around(image, box_xyxy)
    mark = Mark(inside, class_colour(labels[0]), "")
    return data_uri(draw_marks(np.ascontiguousarray(cut), [mark], THUMBNAIL / max(cut.shape[:2]), labelled=False))


def _span(middle: float, side: float, limit: int) -> slice:
    """Whole px of a line of `limit` px, `side` long and around `middle` as far as it fits."""
    length = min(round(side), limit)
    start = min(max(round(middle - side / 2), 0), limit - length)
    return slice(start, start + length)
