"""The small dataset of tiny_datasets as annotation tools export it: the same images, boxes and classes."""

import json
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from tiny_datasets import BOX, CLASSES, HEIGHT, STEMS, TRAIN, WIDTH, Settings, label_of, write_photo

from lightdet.data.record import Reader, Record

TRIANGLE = [[4.0, 6.0], [20.0, 10.0], [9.0, 18.0]]  # the box around it is BOX


def build(settings: Settings, **more: object) -> Reader:
    """The reader of settings; its errors come as they are."""
    values = {**settings, **more}
    return get_class(str(values.pop("_target_")))(**values)


def boxes(records: list[Record], name: str) -> list[list[float]]:
    """The boxes of the one record whose image has this stem, to three digits."""
    (record,) = (record for record in records if record.path.stem == name)
    return [[round(float(value), 3) for value in box] for box in record.boxes_xyxy]


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))


def told(reader: Reader) -> list[str]:
    """What a reader tells that it left out, without the examples."""
    return [line.partition(", e.g.")[0] for line in reader.doubts]


def split_of(stem: str) -> str:
    return "train" if stem in TRAIN else "val"


def labelme_shape(label: str, points: list[list[float]], kind: str | None = "rectangle", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def labelme_document(image: str, shapes: list[dict[str, Any]]) -> dict[str, Any]:
    sizes = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    return {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": "aGVsbG8=", **sizes}


def write_labelme(root: Path) -> Settings:
    x1, y1, x2, y2 = BOX
    for seed, stem in enumerate(STEMS):
        folder = root / split_of(stem)
        write_photo(folder / f"{stem}.png", seed)
        shape = labelme_shape(CLASSES[label_of(stem)], [[x2, y1], [x1, y2]])  # drawn from the right
        (folder / f"{stem}.json").write_text(json.dumps(labelme_document(f"{stem}.png", [shape])))
    return {
        "_target_": "lightdet.data.reader.labelme.Labelme",
        "root": str(root),
        "classes": list(CLASSES),
        "val": "val",
    }


def cvat_box(label: str, box: tuple[float, ...] = BOX, **more: object) -> str:
    corners = "".join(f' {name}="{value}"' for name, value in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))
    others = "".join(f' {name}="{value}"' for name, value in more.items())
    return f'<box label="{label}" source="manual" occluded="0"{corners} z_order="0"{others}></box>'


def cvat_image(stem: str, objects: str, subset: str = "") -> str:
    of_subset = f' subset="{subset}"' if subset else ""
    return f'<image id="0" name="{stem}.png"{of_subset} width="{WIDTH}" height="{HEIGHT}">{objects}</image>'


def cvat_xml(images: str, labels: str = "") -> str:
    stated = labels or "".join(f"<label><name>{name}</name><type>any</type></label>" for name in CLASSES)
    meta = f"<meta><task><labels>{stated}</labels></task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{meta}{images}</annotations>'


def write_cvat(root: Path) -> Settings:
    images = []
    for seed, stem in enumerate(STEMS):
        subset = {"train": "Train", "val": "Validation"}[split_of(stem)]
        write_photo(root / "images" / subset / f"{stem}.png", seed)
        images.append(cvat_image(stem, cvat_box(CLASSES[label_of(stem)]), subset))
    (root / "annotations.xml").write_text(cvat_xml("".join(images)))
    return {"_target_": "lightdet.data.reader.cvat.Cvat", "root": str(root)}


def datumaro_item(stem: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": stem, "annotations": annotations, "image": {"path": f"{stem}.png", "size": [HEIGHT, WIDTH]}}


def datumaro_bbox(label: int, **more: Any) -> dict[str, Any]:
    x1, y1, x2, y2 = BOX
    attributes = {"occluded": False}
    return {
        "type": "bbox",
        "attributes": attributes,
        "group": 0,
        "label_id": label,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
    } | more


def datumaro_document(items: list[dict[str, Any]]) -> dict[str, Any]:
    labels = [{"name": name, "parent": "", "attributes": []} for name in CLASSES]
    categories = {"label": {"labels": labels, "label_groups": [], "attributes": []}}
    return {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": categories, "items": items}


def write_datumaro(root: Path) -> Settings:
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        stems = [stem for stem in STEMS if split_of(stem) == split]
        for stem in stems:
            write_photo(root / "images" / split / f"{stem}.png", STEMS.index(stem))
        items = [datumaro_item(stem, [datumaro_bbox(label_of(stem))]) for stem in stems]
        (root / "annotations" / f"{split}.json").write_text(json.dumps(datumaro_document(items)))
    return {"_target_": "lightdet.data.reader.datumaro.Datumaro", "root": str(root)}


def studio_value(box: tuple[float, ...] = BOX, label: str | None = "scratch", rotation: float = 0) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    value = {"x": x1 / WIDTH * 100, "y": y1 / HEIGHT * 100, "rotation": rotation}
    value |= {"width": (x2 - x1) / WIDTH * 100, "height": (y2 - y1) / HEIGHT * 100}
    return value | ({"rectanglelabels": [label]} if label else {})


def studio_region(value: dict[str, Any], **more: Any) -> dict[str, Any]:
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return (
        {"id": "r", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "value": value} | size | more
    )


def studio_task(stem: str, regions: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    annotation = {"id": 1, "result": regions, "was_cancelled": False, "ground_truth": False}
    return {
        "id": 1,
        "data": {"image": f"/data/upload/7/0a1b2c3d-{stem}.png"},
        "annotations": [annotation],
        "predictions": [],
    } | more


def write_label_studio(root: Path) -> Settings:
    tasks = []
    for seed, stem in enumerate(STEMS):
        write_photo(root / "images" / f"{stem}.png", seed)
        tasks.append(studio_task(stem, [studio_region(studio_value(label=CLASSES[label_of(stem)]))]))
    (root / "project-7.json").write_text(json.dumps(tasks))
    return {
        "_target_": "lightdet.data.reader.label_studio.LabelStudio",
        "root": str(root),
        "classes": list(CLASSES),
    }


TOOL_WRITERS = {
    "labelme": write_labelme,
    "cvat": write_cvat,
    "datumaro": write_datumaro,
    "label_studio": write_label_studio,
}
