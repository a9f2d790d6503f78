"""Writes the data that the starting weights are trained on: drawn surfaces, and windows of DeepPCB's training images.

    python experiments/starting_weights/make.py FOLDER [--drawn 10000] [--windows 3]

FOLDER is then a data set in COCO's format: `lightdet train data=coco data.reader.root=FOLDER ...`. DeepPCB is looked
for where `data=deep_pcb` looks; its validation and test images are not read.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import hydra
import numpy as np
from draw import CLASSES, draw

import lightdet

SIZE = 224  # px, side of every image
SHOWN = (180, 360)  # px of a board that one window shows
VISIBLE = 0.6  # share of a box that must lie in the window
VAL_START, VAL_COUNT, BOARDS_HELD = 1_000_000, 400, 60

Sample = tuple[str, list[tuple[float, float, float, float]], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--drawn", type=int, default=10_000, help="drawn training images")
    parser.add_argument("--windows", type=int, default=3, help="windows of each training image of DeepPCB")
    args = parser.parse_args()
    reader = hydra.utils.instantiate(lightdet.compose("data=deep_pcb").data.reader)
    boards = reader.read()["train"]
    classes = [*CLASSES, *reader.classes]
    for split, start, count, listed in (
        ("train", 0, args.drawn, boards[:-BOARDS_HELD]),
        ("val", VAL_START, VAL_COUNT, boards[-BOARDS_HELD:]),
    ):
        folder = args.folder / split
        folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor() as pool:
            samples = list(pool.map(partial(_drawn, folder), range(start, start + count), chunksize=64))
        samples += [
            each for number, board in enumerate(listed) for each in _windows(folder, board, number, args.windows)
        ]
        annotations = args.folder / "annotations"
        annotations.mkdir(exist_ok=True)
        (annotations / f"instances_{split}.json").write_text(json.dumps(_coco(samples, classes)))
        print(f"{split}: {len(samples):,} images, {sum(len(labels) for _, _, labels in samples):,} boxes")


def _drawn(folder: Path, number: int) -> Sample:
    drawing = draw(0, number, SIZE)
    name = f"drawn-{number:07d}.jpg"
    cv2.imwrite(str(folder / name), drawing.image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return name, drawing.boxes_xyxy, drawing.labels


def _windows(folder: Path, board: Any, number: int, count: int) -> Iterator[Sample]:
    """Square windows around defects, each at a scale of its own."""
    image = cv2.imread(str(board.path), cv2.IMREAD_COLOR)
    assert image is not None
    boxes, labels = board.boxes_xyxy, board.labels
    for window in range(count if len(boxes) else 0):
        rng = np.random.default_rng((number, window))
        side = int(rng.integers(*SHOWN))
        chosen = boxes[rng.integers(len(boxes))]
        corner = (chosen[:2] + chosen[2:]) / 2 - side * rng.uniform(0.2, 0.8, 2)
        left, top = np.clip(corner, 0, np.array(image.shape[1::-1]) - side).astype(int)
        cut = cv2.resize(image[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        moved = np.clip(boxes - np.array([left, top, left, top]), 0, side)
        visible = _area(moved) >= VISIBLE * _area(boxes)
        name = f"board-{number:04d}-{window}.jpg"
        cv2.imwrite(str(folder / name), cut, [cv2.IMWRITE_JPEG_QUALITY, 95])
        kept = [tuple(float(side_) for side_ in box * (SIZE / side)) for box in moved[visible]]
        yield name, kept, [len(CLASSES) + int(label) for label in labels[visible]]


def _area(boxes: Any) -> Any:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _coco(samples: Sequence[Sample], classes: Sequence[str]) -> dict[str, Any]:
    images = [
        {"id": number, "file_name": name, "width": SIZE, "height": SIZE} for number, (name, _, _) in enumerate(samples)
    ]
    annotations: list[dict[str, Any]] = []
    for image, (_, boxes, labels) in enumerate(samples):
        for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
            width, height = x2 - x1, y2 - y1
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": label,
                    "bbox": [x1, y1, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


if __name__ == "__main__":
    main()
