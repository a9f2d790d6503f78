"""The picture of an explained image: the image with what is predicted, and each heat map over it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from lightdet.core.types import Subject
from lightdet.draw.heat import LEGEND, over
from lightdet.draw.page import Cell, contact_sheet
from lightdet.draw.palette import class_colour
from lightdet.draw.panel import Mark, Rectangle, draw_marks, enlargement
from lightdet.explain.explain import Explained, Explanation
from lightdet.ops.frames import box_to_original

SIDE = 420  # px; the longer side of a panel


def picture(explained: Explained, title: str) -> Image.Image:
    """The image with its subjects, then a panel for each explanation, in rows of three."""
    image, explanations = explained.result.image, explained.explanations
    height, width = image.shape[:2]
    scale = min(enlargement(height, width, SIDE), SIDE / max(height, width))
    subjects = list(dict.fromkeys((each.subject, each.name) for each in explanations))
    marks = [mark for subject, name in subjects if (mark := marked(explained, subject, f"{name} {subject.score:.2f}"))]
    cells = [Cell(draw_marks(image, marks, scale), explained.result.describe(), "what the model says", False)]
    for each in explanations:
        mark = marked(explained, each.subject, "")
        panel = draw_marks(over(image, each.heat), [mark] if mark else [], scale, labelled=False)
        cells.append(Cell(panel, f"{each.method}: {each.name} {each.subject.score:.2f}", _at(each), False))
    return Image.fromarray(contact_sheet(cells, title, LEGEND, _legend(subjects)))


def marked(explained: Explained, subject: Subject, text: str) -> Mark | None:
    """The box of a subject with a text, in original px; None for a class of the whole image."""
    box = original_box(explained, subject)
    return None if box is None else Mark(box, class_colour(subject.label), text, weight=subject.score)


def original_box(explained: Explained, subject: Subject) -> Rectangle | None:
    """The box of a subject in original px; None for a class of the whole image."""
    return None if subject.box_xyxy is None else box_to_original(subject.box_xyxy, explained.result.letterbox)


def peak(heat: np.ndarray) -> tuple[int, int] | None:
    """Column and row (px) of the greatest value; None in a map of zeros."""
    if not heat.max() > 0:
        return None
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return int(column), int(row)


def _at(each: Explanation) -> str:
    place = peak(each.heat)
    return "nothing speaks for it" if place is None else f"most at x {place[0]}, y {place[1]} px"


def _legend(subjects: Sequence[tuple[Subject, str]]) -> list[tuple[str, tuple[int, int, int]]]:
    boxes = {name: class_colour(subject.label) for subject, name in subjects if subject.box_xyxy is not None}
    return list(boxes.items())
