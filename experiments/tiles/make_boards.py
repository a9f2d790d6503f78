"""Large images made of DeepPCB's validation boards, 640 x 640 px each, with their boxes, as a COCO dataset.

python experiments/tiles/make_boards.py OUT            # LIGHTDET_DATA names the folder that holds deep-pcb/
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from hydra.utils import instantiate

import lightdet
from lightdet.core.files import write_json
from lightdet.data.image import read_image

IMAGES, HEIGHT, WIDTH = 3, 4000, 6000  # px
BOARD, GREY = 640, 114


def main(out: Path) -> None:
    """Each board comes once before any comes twice. The space between boards is grey."""
    config = lightdet.compose("data=deep_pcb", "model=light", "image_size=640")
    reader = instantiate(config.data.reader, _convert_="all")
    boards = reader.read()["val"]
    rows, columns = HEIGHT // BOARD, WIDTH // BOARD
    tops, lefts = spread(HEIGHT, rows), spread(WIDTH, columns)
    generator = np.random.default_rng(0)
    order = np.concatenate([generator.permutation(len(boards)) for _ in range(IMAGES)])
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(reader.classes)]
    images, annotations = [], []
    for number in range(IMAGES):
        canvas = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
        name = f"boards_{number}.png"
        for place in range(rows * columns):
            board = boards[order[number * rows * columns + place]]
            top, left = tops[place // columns], lefts[place % columns]
            canvas[top : top + BOARD, left : left + BOARD] = read_image(board.path)
            for box, label in zip(board.boxes_xyxy, board.box_labels, strict=True):
                x1, y1, x2, y2 = (float(value) for value in box + np.array([left, top, left, top]))
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number + 1,
                        "category_id": int(label) + 1,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "iscrowd": 0,
                    }
                )
        (out / "val").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(out / "val" / name), canvas[..., ::-1])
        images.append({"id": number + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(out / "val.json", content)
    write_json(out / "train.json", first_board(out, categories))
    each = f"{rows * columns} boards and {len(annotations) / IMAGES:.0f} boxes each"
    print(f"{IMAGES} images of {WIDTH} x {HEIGHT} px, {each}")


def spread(length: int, count: int) -> list[int]:
    """Where `count` boards begin along a side, evenly spread."""
    places: list[int] = np.linspace(0, length - BOARD, count).round().astype(int).tolist()
    return places


def first_board(out: Path, categories: list[dict[str, object]]) -> dict[str, object]:
    """A dataset needs a training image; nothing is trained on this one."""
    (out / "train").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out / "train" / "blank.png"), np.full((64, 64, 3), GREY, np.uint8))
    return {
        "images": [{"id": 1, "file_name": "blank.png", "width": 64, "height": 64}],
        "annotations": [],
        "categories": categories,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
