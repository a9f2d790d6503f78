"""Pascal VOC: one XML file per image (Everingham et al. 2010), in the layout of NEU-DET or in the classic one."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from lightdet.core.errors import LightdetError
from lightdet.data.files import DataRoot, read_bytes, read_list
from lightdet.data.image import IMAGE_SUFFIXES, original_size
from lightdet.data.labels import Claim, checked_classes, make_record, parse_number, read_each, unknown_class
from lightdet.data.record import Record
from lightdet.data.split import split

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Voc:
    """Images in one folder, `<name>.xml` in another, lists of names (without suffix) saying which split they are in.

    Where neither the train list nor the val list exists, all images outside the test list are split by `val_share` and
    `seed`, stratified by class. An image without a defect has an XML file without objects. Corners are taken as they
    are written, as continuous coordinates. `keep_difficult=False` leaves out objects marked as difficult.
    Classic layout: images=JPEGImages, annotations=Annotations, train_list=ImageSets/Main/train.txt, and so on.
    """

    def __init__(
        self,
        root: str,
        classes: Sequence[str],
        images: str = "IMAGES",
        annotations: str = "ANNOTATIONS",
        train_list: str = "train.txt",
        val_list: str = "val.txt",
        test_list: str = "test.txt",
        val_share: float = 0.2,
        seed: int = 0,
        keep_difficult: bool = True,
        follow_links: bool = False,
    ) -> None:
        self.classes = checked_classes(classes, "data.reader.classes")
        self._root = DataRoot(root, follow_links)
        self._images = self._folder(images, "data.reader.images")
        self._annotations = self._folder(annotations, "data.reader.annotations")
        self._lists = {"train": train_list, "val": val_list, "test": test_list}
        self._val_share = val_share
        self._seed = seed
        self._keep_difficult = keep_difficult
        self._labels = {name: label for label, name in enumerate(self.classes)}

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every file that is missing, broken or contradictory."""
        lists = {
            name: self._root.locate(path, self._root.path, f"data.reader.{name}_list")
            for name, path in self._lists.items()
        }
        listed = {
            name: read_list(path) for name, path in lists.items() if path.is_file() or name in self._required(lists)
        }
        if "train" in listed:
            for name, path in lists.items():
                if name in listed and not listed[name]:
                    raise LightdetError(f"{path}: the list of the {name} split is empty; fill it or remove the file")
            return read_each({name: [(stem, lists[name]) for stem in listed[name]] for name in listed}, self._read_one)
        everything = [(stem, self._images) for stem in self._root.stems(self._images)]
        if not everything:
            raise LightdetError(f"{self._images}: no images in this folder; correct data.reader.root or .images")
        test = {"test": [(stem, lists["test"]) for stem in listed["test"]]} if "test" in listed else {}
        records = read_each({"train": everything, **test}, self._read_one)
        held_out = {record.image_id for record in records.get("test", ())}  # a list may spell a name in several ways
        rest = [record for record in records["train"] if record.image_id not in held_out]
        records["train"], records["val"] = split(rest, self._val_share, self._seed, len(self.classes))
        return records

    @staticmethod
    def _required(lists: dict[str, Path]) -> set[str]:
        """One of the two lists without the other is a mistake; without both the images are split here."""
        return {"train", "val"} if lists["train"].is_file() or lists["val"].is_file() else set()

    def _folder(self, name: str, setting: str) -> Path:
        path = self._root.locate(name, self._root.path, setting)
        if not path.is_dir():
            raise LightdetError(f"{path}: no such folder; correct data.reader.root or {setting}")
        return path

    def _read_one(self, named: tuple[str, Path]) -> Record:
        line, said_by = named
        name = line.split()[0] if len(line.split()) == 2 and line.split()[1] in ("1", "0", "-1") else line
        if Path(name).suffix.lower() in IMAGE_SUFFIXES:
            name = str(Path(name).with_suffix(""))
        image = self._root.image(name, self._images, said_by)
        path = self._root.locate(name + ".xml", self._annotations, said_by)
        if not path.is_file():
            raise LightdetError(
                f"{path}: {image.name} has no annotation; write one, without objects for an image without defects"
            )
        tree = parse_xml(path)
        size = original_size(image)
        _check_size(tree, size, path)
        objects = [(f"object {index}", node) for index, node in enumerate(tree.findall("object"), start=1)]
        if not self._keep_difficult:
            objects = [(place, node) for place, node in objects if (node.findtext("difficult") or "").strip() != "1"]
        claims = [self._claim(node, place, path) for place, node in objects]
        return make_record(self._root, image, claims, path, size)

    def _claim(self, node: Element, place: str, path: Path) -> Claim:
        name = (node.findtext("name") or "").strip()
        if name not in self._labels:
            raise unknown_class(name, self.classes, place, path)
        box = node.find("bndbox")
        if box is None:
            raise LightdetError(f"{path}: {place}: no <bndbox>; add one or remove the object")
        x1, y1, x2, y2 = (parse_number(box.findtext(corner), f"{place}: <{corner}>", path) for corner in CORNERS)
        return Claim(place, self._labels[name], (x1, y1, x2, y2))


def parse_xml(path: Path) -> Element:
    """The <annotation> of a file. Raises LightdetError for anything else, and for entities (XML bombs)."""
    try:
        tree: Element = fromstring(read_bytes(path))
    except ParseError as error:
        raise LightdetError(f"{path}: not well-formed XML ({error}); correct or replace it") from error
    except DefusedXmlException as error:
        raise LightdetError(f"{path}: XML with entities is refused as unsafe; remove its DOCTYPE") from error
    except (ValueError, LookupError) as error:  # an unknown encoding
        raise LightdetError(f"{path}: unreadable XML ({error}); save it as UTF-8") from error
    if tree.tag != "annotation":
        raise LightdetError(f"{path}: the outermost element is <{tree.tag[:40]}>, not <annotation>; is it Pascal VOC?")
    return tree


def _check_size(tree: Element, size: tuple[int, int], path: Path) -> None:
    """Boxes drawn on an image of another size would all be wrong; a size of 0 x 0, or none, is ignored."""
    size_node = tree.find("size")
    if size_node is None:
        return
    height, width = (parse_number(size_node.findtext(side) or "0", f"<{side}>", path) for side in ("height", "width"))
    if (height, width) != (0, 0) and (height, width) != size:
        raise LightdetError(
            f"{path}: made for an image of {width:g} x {height:g} px, but the image has {size[1]} x {size[0]} px; "
            "annotate this image, or correct <size> if the boxes fit it"
        )
