"""Datumaro JSON: one file per subset (https://openvinotoolkit.github.io/datumaro/latest/docs/data-formats/
datumaro_format.html, https://docs.cvat.ai/docs/dataset_management/formats/format-datumaro)."""

from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut, is_hidden
from lightdet.data.described import SPLIT_NAMES, Described, by_split, read_described
from lightdet.data.files import DataRoot
from lightdet.data.image import IMAGE_SUFFIXES
from lightdet.data.json_file import entries, load_json, numbers
from lightdet.data.labels import checked_classes
from lightdet.data.record import Record
from lightdet.data.shapes import Box, Shape, box_around, joined, turned_box

DRAWN = ("bbox", "rotated_bbox", "polygon", "ellipse")


class Datumaro:
    """The files `annotations/<subset>.json` with the images `images/<subset>/...`; labels follow the list of labels of
    the training file, and the others must know the same names.

    Turned boxes, ellipses and polygons become the boxes around them; outlines of one label and group are parts of one
    object. Masks, points, polylines, cuboids, captions and labels of whole images are left out, as are items without
    an image. Subsets named train, val (validation) and test are splits; other subsets, or those without `val`, are
    split by `val_share` and `seed`. Boxes with the
    attribute `is_crowd` are regions of many objects (`Boxes.crowd_xyxy`), from which nothing is learnt.
    """

    def __init__(
        self,
        root: str,
        annotations: str = "annotations",
        images: str = "images",
        val_share: float = 0.2,
        seed: int = 0,
        follow_links: bool = False,
    ) -> None:
        self._root = DataRoot(root, follow_links)
        self._folder = self._root.locate(annotations, self._root.path, "data.reader.annotations")
        self._images = images
        self._val_share, self._seed = val_share, seed
        self._left_out = LeftOut()
        documents = self._documents()
        training = next((name for name in documents if SPLIT_NAMES.get(name.lower()) == "train"), next(iter(documents)))
        self.classes = _labels(documents[training], self._folder / f"{training}.json")
        self._described = by_split(
            {name: self._of_document(document, name) for name, document in documents.items()}, self._folder
        )
        self._told = self._left_out.lines()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What the files hold that is not used, and after `read` what it left out."""
        return (*self._told, *self._root.left_out.lines())

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every image that is missing or does not fit its boxes."""
        return read_described(self._root, self._described, self.classes, self._val_share, self._seed)

    def _documents(self) -> dict[str, dict[str, Any]]:
        """The files by subset."""
        if not self._folder.is_dir():
            raise LightdetError(f"{self._folder}: no such folder; correct data.reader.root or .annotations")
        documents = {}
        for path in sorted(self._folder.glob("*.json")):
            if is_hidden(path.relative_to(self._folder)):
                self._left_out.add("files that no person made", path)
                continue
            document = load_json(self._root.file(path.name, self._folder, "data.reader.annotations"))
            if not isinstance(document, dict) or "items" not in document:
                raise LightdetError(f"{path}: no 'items'; is it Datumaro's JSON? export it again or remove the file")
            documents[path.stem] = document
        if not documents:
            raise LightdetError(f"{self._folder}: no JSON file; Datumaro writes one for each subset")
        return documents

    def _of_document(self, document: dict[str, Any], subset: str) -> list[Described]:
        path = self._folder / f"{subset}.json"
        names = _labels(document, path)
        described = []
        for index, item in enumerate(entries(document, "items", path)):
            one = self._of_item(item, f"items[{index}]", subset, names)
            if one is not None:
                described.append(one)
        return described

    def _of_item(self, item: dict[str, Any], place: str, subset: str, names: tuple[str, ...]) -> Described | None:
        path = self._folder / f"{subset}.json"
        media = item.get("image") or item.get("media")
        names_of_file = _file_names(media, item.get("id"))
        if not isinstance(media, dict) or not names_of_file:
            self._left_out.add("items without an image", f"{path}: {place}")
            return None
        stated = media.get("size")
        size = numbers(stated, f"{place}: 'size'", path) if stated is not None else []
        shapes = [
            shape
            for index, entry in enumerate(entries(item, "annotations", path, place))
            if (shape := self._shape(entry, f"annotations[{index}]", place, path, names)) is not None
        ]
        folders = (f"{self._images}/{subset}", self._images, ".")
        return Described(
            name=names_of_file[0],
            places=tuple(f"{folder}/{name}" for folder in folders for name in names_of_file),
            said_by=path,
            place=place,
            size=(size[0], size[1]) if len(size) == 2 else (None, None),
            shapes=joined(shapes),
        )

    def _shape(self, entry: dict[str, Any], place: str, item: str, path: Path, names: tuple[str, ...]) -> Shape | None:
        where, kind = f"{item}: {place}", entry.get("type")
        attributes = entry.get("attributes")
        attributes = attributes if isinstance(attributes, dict) else {}
        if kind not in DRAWN:
            self._left_out.add(f"annotations of the type {str(kind)[:40]}, which have no box", f"{path}: {where}")
            return None
        if attributes.get("outside") is True:
            self._left_out.add("objects marked as outside of their image", f"{path}: {where}")
            return None
        label = entry.get("label_id")
        if type(label) is not int or not 0 <= label < len(names):
            raise LightdetError(
                f"{path}: {where}: 'label_id' is {str(label)[:40]}; the file has labels 0 to {len(names) - 1}"
            )
        box = _box(entry, attributes, where, path)
        crowd = attributes.get("is_crowd") is True
        if crowd:
            self._left_out.add("regions of many objects ('is_crowd'), not learnt", f"{path}: {where}")
        return Shape(place, names[label], box, entry.get("group") or None, kind in ("polygon", "ellipse"), crowd)


def _file_names(media: object, key: object) -> list[str]:
    """What the file of an item may be called: by its path or, where an export without images leaves that empty, by the
    item's id with the suffix of an image."""
    path = media.get("path") if isinstance(media, dict) else None
    if isinstance(path, str) and path:
        return [path]
    return [key + suffix for suffix in sorted(IMAGE_SUFFIXES)] if isinstance(key, str) and path == "" else []


def _box(entry: dict[str, Any], attributes: dict[str, Any], place: str, path: Path) -> Box:
    kind = entry["type"]
    values = numbers(entry.get("bbox" if kind == "bbox" else "points"), place, path)
    if kind == "polygon" and len(values) >= 6 and len(values) % 2 == 0:
        return box_around(zip(values[::2], values[1::2], strict=True))
    if kind == "bbox" and len(values) == 4:
        x, y, width, height = values
        degrees = attributes.get("rotation", 0.0)
        return turned_box((x, y, x + width, y + height), degrees if type(degrees) in (int, float) else 0.0)
    if kind == "ellipse" and len(values) == 4:
        return values[0], values[1], values[2], values[3]
    if kind == "rotated_bbox" and len(values) == 5:
        cx, cy, width, height, degrees = values
        return turned_box((cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2), degrees)
    raise LightdetError(f"{path}: {place}: {len(values)} numbers do not make a {kind}; draw it again or remove it")


def _labels(document: dict[str, Any], path: Path) -> tuple[str, ...]:
    """The names of the labels, by label_id."""
    categories = document.get("categories")
    label = categories.get("label") if isinstance(categories, dict) else None
    if not isinstance(label, dict):
        raise LightdetError(f"{path}: no labels under 'categories'; export it again")
    return checked_classes((entry.get("name") for entry in entries(label, "labels", path)), f"{path}, 'labels'")
