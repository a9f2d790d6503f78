"""Datasets drawn by Hypothesis, for tests of properties; what a reader of each tool's format would find of them."""

import json
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from lightdet.core.annotation import Boxes
from lightdet.data.record import Record

MOST = 48  # px, the largest side
LETTERS = "abcXYZ09 _-.()&<'\"é打"

Dataset = tuple[tuple[str, ...], dict[str, list[tuple[str, int, int, Boxes]]]]  # classes; id, width, height, boxes

sides = st.integers(1, MOST)
names = st.text(LETTERS, min_size=1, max_size=8).map(str.strip).filter(bool)


def floats(most: float) -> st.SearchStrategy[float]:
    """float32 from 0 to `most`, whole and simple ones among them."""
    return st.one_of(
        st.integers(0, int(most)).map(float),
        st.floats(0, most, width=32, allow_subnormal=False),
        st.just(float(most)),
    )


@st.composite
def boxes_in(draw: st.DrawFn, width: int, height: int, classes: int, most: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) float32 xyxy and (N,) int64."""
    corners, labels = [], []
    for _ in range(draw(st.integers(0, most))):
        x1, x2 = sorted((draw(floats(width)), draw(floats(width))))
        y1, y2 = sorted((draw(floats(height)), draw(floats(height))))
        if x2 - x1 > 1e-3 and y2 - y1 > 1e-3:
            corners.append((x1, y1, x2, y2))
            labels.append(draw(st.integers(0, classes - 1)))
    return np.array(corners, np.float32).reshape(-1, 4), np.array(labels, np.int64)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Small datasets with a train and a val split, some with a test split, crowd regions and names that collide."""
    classes = tuple(draw(st.lists(names, min_size=1, max_size=4, unique=True)))
    stems = st.tuples(st.sampled_from(("", "a/", "b/", "a/c/")), names, st.sampled_from((".png", ".bmp")))
    wanted = draw(st.lists(stems.map("".join), min_size=3, max_size=6, unique_by=str.casefold))
    ids = [image_id for image_id in wanted if not image_id.rpartition("/")[2].startswith(".")] or ["x.png", "y.png"]
    ids = ids if len(ids) > 1 else [*ids, "another one.png"]
    splits: dict[str, list[tuple[str, int, int, Boxes]]] = {"train": [], "val": []}
    for index, image_id in enumerate(ids):
        split = ("train", "val")[index] if index < 2 else draw(st.sampled_from(("train", "val", "test")))
        width, height = draw(sides), draw(sides)
        boxes = draw(boxes_in(width, height, len(classes)))
        crowd = draw(boxes_in(width, height, len(classes), 1))
        splits.setdefault(split, []).append((image_id, width, height, Boxes(*boxes, *crowd)))
    return classes, splits


class Generated:
    """The reader of a drawn dataset, whose images it writes to `folder`."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.classes, self._splits = dataset
        self.folder = folder
        for images in self._splits.values():
            for image_id, width, height, _ in images:
                (folder / image_id).parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (width, height), 90).save(folder / image_id)

    def read(self) -> dict[str, list[Record]]:
        return {
            split: [Record(image_id=name, path=self.folder / name, annotation=boxes) for name, _, _, boxes in some]
            for split, some in self._splits.items()
        }


def cvat_text(dataset: Dataset) -> str:
    """CVAT XML with every digit, in which one writes what XML itself means as entities."""
    classes, splits = dataset
    images = []
    for split, some in splits.items():
        for image_id, width, height, boxes in some:
            objects = "".join(
                f"<box label={quoteattr(classes[label])} "
                + " ".join(
                    f'{key}="{float(value)!r}"' for key, value in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True)
                )
                + "/>"
                for box, label in zip(boxes.xyxy, boxes.labels, strict=True)
            )
            head = f'name={quoteattr(image_id)} subset="{split}" width="{width}" height="{height}"'
            images.append(f"<image {head}>{objects}</image>")
    return f"<annotations>{''.join(images)}</annotations>"


def studio_text(dataset: Dataset) -> str:
    """Label Studio's JSON with percents."""
    classes, splits = dataset
    tasks = []
    for some in splits.values():
        for image_id, width, height, boxes in some:
            regions = [
                {
                    "original_width": width,
                    "original_height": height,
                    "value": {
                        "x": float(x1) / width * 100,
                        "y": float(y1) / height * 100,
                        "width": (float(x2) - float(x1)) / width * 100,
                        "height": (float(y2) - float(y1)) / height * 100,
                        "rectanglelabels": [classes[label]],
                    },
                }
                for (x1, y1, x2, y2), label in zip(boxes.xyxy, boxes.labels, strict=True)
            ]
            tasks.append({"data": {"image": image_id}, "annotations": [{"result": regions}]})
    return json.dumps(tasks)
