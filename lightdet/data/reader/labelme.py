"""LabelMe JSON: one file per image, beside it as a rule (https://github.com/wkentaro/labelme; the keys are those that
its `labelme/_label_file.py` writes)."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut, is_hidden
from lightdet.data.described import Described, classes_of, find_image, found_line, read_described
from lightdet.data.files import DataRoot
from lightdet.data.json_file import entries, load_json, points
from lightdet.data.record import Record
from lightdet.data.search import find_images
from lightdet.data.shapes import Box, Shape, box_around, ellipse_box, joined

BULKY = frozenset({"imageData", "mask"})  # base64: the image itself, the pixels of a mask
AROUND = {"polygon": 3, "rectangle": 2, "rotation": 3, "oriented_rectangle": 3, "quadrilateral": 3, "mask": 2}
BESIDE = (".json", ".txt")  # what may lie among the images
OUTLINES = ("polygon", "circle", "mask")
UNLABELLED = ("leave_out", "good")


class Labelme:
    """The JSON files in a folder and below; `imagePath` starts from the folder of its file.

    Rectangles are taken as they are; polygons, circles and masks become the boxes around them, and those with the same
    `group_id` and label are one object, as in LabelMe's own conversion to COCO. Points and lines are left out. Without
    `classes` all labels that occur are taken, sorted by name. The files in the folders `val` and `test` are for those
    splits and no other; without `val`, the rest is split by `val_share` and `seed`. LabelMe writes no file for an image
    in which nothing was drawn: `unlabelled` "leave_out" leaves such images out, "good" takes them as images without
    defects.
    """

    def __init__(
        self,
        root: str,
        classes: Sequence[str] | None = None,
        train: str = ".",
        val: str | None = None,
        test: str | None = None,
        unlabelled: str = "leave_out",
        val_share: float = 0.2,
        seed: int = 0,
        follow_links: bool = False,
    ) -> None:
        if unlabelled not in UNLABELLED:
            raise LightdetError(f"data.reader.unlabelled={unlabelled}: one of {', '.join(UNLABELLED)}")
        self._root = DataRoot(root, follow_links)
        self._val_share, self._seed = val_share, seed
        self._left_out = LeftOut()
        self._described = self._describe({"train": train, "val": val, "test": test}, unlabelled == "good")
        found = Counter(shape.name for some in self._described.values() for one in some for shape in one.shapes)
        self.classes = classes_of(classes, found, self._root.path)
        self._told = (*found_line(classes, found), *self._left_out.lines())

    @property
    def doubts(self) -> tuple[str, ...]:
        """What the files hold that is not used, and after `read` what it left out."""
        return (*self._told, *self._root.left_out.lines())

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every image that is missing or does not fit its boxes."""
        return read_described(self._root, self._described, self.classes, self._val_share, self._seed, known=None)

    def _describe(self, folders: dict[str, str | None], keep_unlabelled: bool) -> dict[str, list[Described]]:
        places = {
            name: self._root.locate(folder, self._root.path, f"data.reader.{name}")
            for name, folder in folders.items()
            if folder is not None
        }
        described: dict[str, list[Described]] = {}
        for name, folder in places.items():
            if not folder.is_dir():
                raise LightdetError(f"{folder}: no such folder; correct data.reader.root or data.reader.{name}")
            inner = [other for split, other in places.items() if split != name and _is_below(other, folder)]
            described[name] = self._of_folder(folder, inner, keep_unlabelled)
            if not described[name]:
                raise LightdetError(
                    f"{folder}: no JSON files of LabelMe for the {name} split; correct data.reader.{name}"
                )
        return described

    def _of_folder(self, folder: Path, others: Sequence[Path], keep_unlabelled: bool) -> list[Described]:
        """The images of a folder, but not those in folders of other splits inside it."""

        def is_own(path: Path) -> bool:
            return not any(path.is_relative_to(other) for other in others)

        described = []
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".json" and is_own(path)):
            if is_hidden(path.relative_to(folder)):
                self._left_out.add("JSON files that no person made", path)
                continue
            document = load_json(self._root.inside(path, folder), BULKY)
            if isinstance(document, dict) and "shapes" in document:
                described.append(self._of_document(document, path))
            else:
                self._left_out.add("JSON files that are not LabelMe's (no 'shapes')", path)
        taken = set()
        for one in described:
            with suppress(LightdetError):  # an image that is missing is told when it is read
                taken.add(find_image(self._root, one))
        for path in find_images(folder, self._left_out, BESIDE):
            if is_own(path) and path not in taken:
                if keep_unlabelled:
                    place = self._root.image_id(path)
                    described.append(Described(path.name, (place,), path, "", (None, None), ()))
                else:
                    self._left_out.add("images without a JSON file (data.reader.unlabelled=good takes them)", path)
        return described

    def _of_document(self, document: dict[str, Any], path: Path) -> Described:
        name = document.get("imagePath")
        if not isinstance(name, str) or not name:
            raise LightdetError(f"{path}: 'imagePath' is missing or not a text; name the image of this file there")
        folder = PurePosixPath(self._root.image_id(path)).parent
        stated = PurePosixPath(name.replace("\\", "/"))
        shapes = [
            shape
            for index, entry in enumerate(entries(document, "shapes", path))
            if (shape := self._shape(entry, f"shapes[{index}]", path)) is not None
        ]
        return Described(
            name=name,
            places=(str(folder / stated), str(folder / stated.name)),
            said_by=path,
            place="",
            size=(document.get("imageHeight"), document.get("imageWidth")),
            shapes=joined(shapes),
        )

    def _shape(self, entry: dict[str, Any], place: str, path: Path) -> Shape | None:
        label, kind = entry.get("label"), entry.get("shape_type") or "polygon"  # early versions state no type
        if not isinstance(label, str) or not label.strip():
            raise LightdetError(f"{path}: {place}: 'label' is missing or not a text; name its class")
        if not isinstance(kind, str):
            raise LightdetError(f"{path}: {place}: 'shape_type' is {str(kind)[:40]} and no text; correct it")
        if kind == "circle":
            box = _circle(points(entry.get("points"), place, path, 2))
        elif kind in AROUND:
            box = box_around(points(entry.get("points"), place, path, AROUND[kind]))
            if kind == "mask":  # its points are the first and the last pixel
                box = (box[0], box[1], box[2] + 1, box[3] + 1)
        else:
            self._left_out.add(f"shapes of the type {str(kind)[:40]}, which have no box", f"{path}: {place}")
            return None
        return Shape(place, label.strip(), box, entry.get("group_id"), outline=kind in OUTLINES)


def _is_below(path: Path, folder: Path) -> bool:
    return path != folder and path.is_relative_to(folder)


def _circle(centre_and_rim: list[tuple[float, float]]) -> Box:
    (cx, cy), (x, y) = centre_and_rim[:2]
    radius = ((x - cx) ** 2 + (y - cy) ** 2) ** 0.5
    return ellipse_box((cx, cy), (radius, radius))
