"""CVAT for images 1.1: one XML file with the images of a task or a project
(https://docs.cvat.ai/docs/dataset_management/formats/format-cvat, https://docs.cvat.ai/docs/other/xml_format)."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.data.described import Described, by_split, classes_of, read_described
from lightdet.data.files import DataRoot
from lightdet.data.labels import checked_classes, parse_number
from lightdet.data.record import Record
from lightdet.data.shapes import Box, Point, Shape, box_around, ellipse_box, joined, turned_box
from lightdet.data.xml_file import load_xml

SIDES = ("height", "width")
CORNERS = ("xtl", "ytl", "xbr", "ybr")
NO_BOX = ("tag", "points", "polyline", "skeleton", "cuboid")  # kinds of labels and of drawn objects


class Cvat:
    """The `<image>` elements of `xml`; without `classes` its `<labels>`, in their order, except those of a type that
    has no box.

    An image is looked for in the folder `images`, there also in a folder of its subset, then beside the file. Turned
    boxes, ellipses, polygons and masks become the boxes around them; outlines of one label and `group_id` are parts of
    one object. Points, polylines, skeletons, cuboids and tags are left out, as are shapes marked `outside`. Subsets
    named train, val (validation) and test are splits; other subsets, or those without `val`, are split by `val_share`
    and `seed`.
    """

    def __init__(
        self,
        root: str,
        xml: str = "annotations.xml",
        images: str = "images",
        classes: Sequence[str] | None = None,
        val_share: float = 0.2,
        seed: int = 0,
        follow_links: bool = False,
    ) -> None:
        self._root = DataRoot(root, follow_links)
        self._xml = self._root.file(xml, self._root.path, "data.reader.xml")
        self._images = images
        self._val_share, self._seed = val_share, seed
        self._left_out = LeftOut()
        document = load_xml(self._xml, "annotations", "is it an export as CVAT for images 1.1?")
        if document.find("track") is not None:
            raise LightdetError(
                f"{self._xml}: tracks of a video; export it as 'CVAT for images 1.1', which has an entry per frame"
            )
        self._described = self._describe(document)
        stated = _stated_classes(document, self._xml)
        shapes = (shape for some in self._described.values() for one in some for shape in one.shapes)
        self.classes = (
            stated if classes is None and stated else classes_of(classes, Counter(s.name for s in shapes), self._xml)
        )
        self._told = self._left_out.lines()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What the files hold that is not used, and after `read` what it left out."""
        return (*self._told, *self._root.left_out.lines())

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every image that is missing or does not fit its boxes."""
        return read_described(self._root, self._described, self.classes, self._val_share, self._seed)

    def _describe(self, document: Element) -> dict[str, list[Described]]:
        subsets: dict[str, list[Described]] = {}
        for index, image in enumerate(document.findall("image"), start=1):
            subset = image.get("subset") or "default"
            subsets.setdefault(subset, []).append(self._of_image(image, f"image {index}", subset))
        if not subsets:
            raise LightdetError(f"{self._xml}: no <image>; export the task as 'CVAT for images 1.1'")
        return by_split(subsets, self._xml)

    def _of_image(self, image: Element, place: str, subset: str) -> Described:
        name = image.get("name") or ""
        if not name:
            raise LightdetError(f"{self._xml}: {place}: no name; export it again")
        shapes = [
            shape
            for index, node in enumerate(image, start=1)
            if (shape := self._shape(node, f"{place}, object {index}")) is not None
        ]
        height, width = (_number(image, side, place, self._xml) if image.get(side) else None for side in SIDES)
        folders = (f"{self._images}/{subset}", self._images, subset, ".")
        return Described(
            name=name,
            places=tuple(f"{folder}/{name}" for folder in folders),
            said_by=self._xml,
            place=place,
            size=(height, width),
            shapes=[shape._replace(place=shape.place.partition(", ")[2]) for shape in joined(shapes)],
        )

    def _shape(self, node: Element, place: str) -> Shape | None:
        where = f"{self._xml}: {place}"
        if node.tag in NO_BOX:
            self._left_out.add(f"objects drawn as {node.tag}, which have no box", where)
            return None
        if node.get("outside") == "1":
            self._left_out.add("objects marked as outside of their image", where)
            return None
        if node.tag not in ("box", "polygon", "ellipse", "mask"):
            self._left_out.add(f"elements <{node.tag[:40]}>, which are unknown", where)
            return None
        name = (node.get("label") or "").strip()
        if not name:
            raise LightdetError(f"{where}: no label; name its class")
        group = node.get("group_id")
        return Shape(place, name, self._box(node, place), None if group in (None, "0") else group, node.tag != "box")

    def _box(self, node: Element, place: str) -> Box:
        def number(name: str) -> float:
            return _number(node, name, place, self._xml)

        degrees = number("rotation") if node.get("rotation") else 0.0
        if node.tag == "box":
            x1, y1, x2, y2 = map(number, CORNERS)
            return turned_box((x1, y1, x2, y2), degrees)
        if node.tag == "ellipse":
            return ellipse_box((number("cx"), number("cy")), (number("rx"), number("ry")), degrees)
        if node.tag == "mask":
            left, top = number("left"), number("top")
            return left, top, left + number("width"), top + number("height")
        return box_around(_points(node.get("points") or "", place, self._xml))


def _number(node: Element, name: str, place: str, path: Path) -> float:
    return parse_number(node.get(name), f"{place}: {name}", path)


def _points(text: str, place: str, path: Path) -> list[Point]:
    """The points of `x,y;x,y;...`. Raises LightdetError for fewer than three."""
    pairs = [pair.split(",") for pair in text.split(";") if pair.strip()]
    if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
        raise LightdetError(f"{path}: {place}: a polygon has three points x,y or more; draw it again or remove it")
    return [(parse_number(x, place, path), parse_number(y, place, path)) for x, y in pairs]


def _stated_classes(document: Element, path: Path) -> tuple[str, ...]:
    """The names under <labels> that can have boxes, in their order; () where there are none."""
    names: dict[str, None] = {}
    for label in document.iterfind("meta//labels/label"):
        kind, name = (label.findtext("type") or "any").strip(), (label.findtext("name") or "").strip()
        if kind not in NO_BOX and label.find("parent") is None:  # a parent: a point of a skeleton
            names[name] = None
    return checked_classes(names, f"{path}, <labels>") if names else ()
