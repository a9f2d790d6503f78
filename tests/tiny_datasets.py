"""One small dataset in every layout: six grey photos of 32 x 24 px with a box each, four for training."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from lightdet.data.record import Record

CLASSES = ("scratch", "dent")
WIDTH, HEIGHT = 32, 24
STEMS = ("a", "b", "c", "d", "e", "f")
TRAIN, VAL = STEMS[:4], STEMS[4:]
BOX = (4.0, 6.0, 20.0, 18.0)  # xyxy px, the same in every photo; labels alternate

Settings = dict[str, object]  # of a reader, `_target_` included


def label_of(stem: str) -> int:
    return STEMS.index(stem) % 2


def stem(record: Record) -> str:
    return record.path.stem.removesuffix("_test")


def write_photo(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def voc_object(name: str = "scratch", box: tuple[object, ...] = BOX) -> str:
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{corners}</bndbox></object>"


def voc_xml(objects: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"


def write_voc(root: Path) -> Settings:
    for seed, stem in enumerate(STEMS):
        write_photo(root / "IMAGES" / f"{stem}.png", seed)
        xml = root / "ANNOTATIONS" / f"{stem}.xml"
        xml.parent.mkdir(exist_ok=True)
        xml.write_text(voc_xml(voc_object(CLASSES[label_of(stem)])))
    (root / "train.txt").write_text("\n".join(TRAIN) + "\n")
    (root / "val.txt").write_text("\n".join(VAL) + "\n")
    return {"_target_": "lightdet.data.reader.voc.Voc", "root": str(root), "classes": list(CLASSES)}


def coco_document(stems: tuple[str, ...]) -> dict[str, list[dict[str, object]]]:
    x1, y1, x2, y2 = BOX
    return {
        "images": [
            {"id": index, "file_name": f"{stem}.png", "width": WIDTH, "height": HEIGHT}
            for index, stem in enumerate(stems)
        ],
        "annotations": [
            {
                "id": index,
                "image_id": index,
                "category_id": 10 * (label_of(stem) + 1),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "segmentation": [[1, 2, 3, 4, 5, 6]],
            }
            for index, stem in enumerate(stems)
        ],
        "categories": [{"id": 20, "name": CLASSES[1]}, {"id": 10, "name": CLASSES[0]}],
    }


def write_coco(root: Path) -> Settings:
    for seed, stem in enumerate(STEMS):
        write_photo(root / "photos" / f"{stem}.png", seed)
    (root / "train.json").write_text(json.dumps(coco_document(TRAIN)))
    (root / "val.json").write_text(json.dumps(coco_document(VAL)))
    return {
        "_target_": "lightdet.data.reader.coco.Coco",
        "root": str(root),
        "train": "train.json",
        "val": "val.json",
        "train_images": "photos",
        "val_images": "photos",
    }


def yolo_row(label: int, box: tuple[float, ...] = BOX) -> str:
    x1, y1, x2, y2 = box
    centre = (x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT
    return f"{label} {centre[0]} {centre[1]} {(x2 - x1) / WIDTH} {(y2 - y1) / HEIGHT}\n"


def write_yolo(root: Path) -> Settings:
    for seed, stem in enumerate(STEMS):
        split = "train" if stem in TRAIN else "val"
        write_photo(root / "images" / split / f"{stem}.png", seed)
        label = root / "labels" / split / f"{stem}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(yolo_row(label_of(stem)))
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnc: 2\nnames: [scratch, dent]\n")
    return {"_target_": "lightdet.data.reader.yolo.Yolo", "root": str(root)}


def write_deeppcb(root: Path) -> Settings:
    lines = []
    for seed, stem in enumerate(STEMS):
        write_photo(root / "PCBData" / "g" / f"{stem}_test.png", seed)
        write_photo(root / "PCBData" / "g" / f"{stem}_temp.png", seed + 100)
        label = root / "PCBData" / "g_not" / f"{stem}.txt"
        label.parent.mkdir(exist_ok=True)
        label.write_text(" ".join(f"{value:g}" for value in BOX) + f" {label_of(stem) + 1}\n")
        lines.append(f"g/{stem}.jpg g_not/{stem}.txt\n")
    (root / "PCBData" / "trainval.txt").write_text("".join(lines))
    return {
        "_target_": "lightdet.data.reader.deeppcb.DeepPcb",
        "root": str(root),
        "classes": list(CLASSES),
        "val_count": 2,
    }


WRITERS = {"voc": write_voc, "coco": write_coco, "yolo": write_yolo, "deeppcb": write_deeppcb}
