"""Pascal VOC: one XML file per image (Everingham et al. 2010), in the layout of NEU-DET or in the classic one."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize
from xml.etree.ElementTree import Element

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut, is_hidden
from lightdet.data.files import DataRoot, read_list
from lightdet.data.image import IMAGE_SUFFIXES, Header
from lightdet.data.labels import (
    Claim,
    checked_classes,
    make_record,
    parse_number,
    read_each,
    unknown_class,
    wrong_size,
)
from lightdet.data.record import Record
from lightdet.data.search import HIDDEN_NAMES, find_images
from lightdet.data.split import split
from lightdet.data.xml_file import load_xml

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FLAGGED = re.compile(r"(.*\S)\s+(?:1|0|-1)")  # a line of the lists of a class: the image, and whether it shows it
BESIDE = (".xml", ".txt")  # what may lie among the images


class Voc:
    """Images in one folder, `<name>.xml` in another, lists of names (without suffix) saying which split they are in.

    Where neither the train list nor the val list exists, all images outside the test list are split by `val_share` and
    `seed`, stratified by class; those in folders inside the images' folder belong to them, and their XML files are in
    folders of the same names or without folders. An image without a defect has an XML file without objects. Corners are
    taken as they are written, as continuous coordinates. `keep_difficult=False` leaves out objects marked as difficult.
    Without `classes` all names in the XML files are taken, sorted; `doubts` lists them.
    Classic layout: images=JPEGImages, annotations=Annotations, train_list=ImageSets/Main/train.txt, and so on.
    """

    def __init__(
        self,
        root: str,
        classes: Sequence[str] | None = None,
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
        given = None if classes is None else checked_classes(classes, "data.reader.classes")
        self._root = DataRoot(root, follow_links)
        self._images = self._folder(images, "data.reader.images")
        self._annotations = self._folder(annotations, "data.reader.annotations")
        self._lists = {"train": train_list, "val": val_list, "test": test_list}
        self._val_share = val_share
        self._seed = seed
        self._keep_difficult = keep_difficult
        self._image_of: dict[Path, Path] = {}  # by XML file
        self._misnamed: dict[Path, str] = {}  # by XML file: its <filename>, another image
        self._taken = ""  # a line about the classes, where they were found
        self.classes = given or self._classes_found()
        self._labels = {name: label for label, name in enumerate(self.classes)}

    @property
    def doubts(self) -> tuple[str, ...]:
        """What `read` left out or doubts, and the classes that were found."""
        told = [self._taken] * bool(self._taken)
        if self._misnamed:
            path, name = next(iter(self._misnamed.items()))
            count = len(self._misnamed)
            told.append(
                f"{count:,} XML file{'s' * (count > 1)} whose <filename> is another image that is there, such as "
                f"{path}, which says {name}: the boxes are taken for the image with the name of the XML file"
            )
        return (*told, *self._root.left_out.lines())

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every file that is missing, broken or contradictory."""
        self._root.left_out = LeftOut()
        lists = {
            name: self._root.find(path, self._root.path, f"data.reader.{name}_list")
            for name, path in self._lists.items()
        }
        listed = {
            name: self._names_in(path) for name, path in lists.items() if path.exists() or name in self._required(lists)
        }
        images = find_images(self._images, self._root.left_out, BESIDE)
        self._count_lonely_labels(images)
        if "train" in listed:
            for name, path in lists.items():
                if name in listed and not listed[name]:
                    raise LightdetError(f"{path}: the list of the {name} split is empty; fill it or remove the file")
            records = read_each({name: [(one, lists[name]) for one in listed[name]] for name in listed}, self._read_one)
            used = {record.path for some in records.values() for record in some}
            unused = [path for path in images if path not in used]
            self._root.left_out.extend("images that no list names", unused)
            return records
        names = sorted({path.relative_to(self._images).with_suffix("").as_posix() for path in images})
        if not names:
            raise LightdetError(f"{self._images}: no images in this folder; correct data.reader.root or .images")
        test = {"test": [(name, lists["test"]) for name in listed["test"]]} if "test" in listed else {}
        records = read_each({"train": [(name, self._images) for name in names], **test}, self._read_one)
        held_out = {record.image_id for record in records.get("test", ())}  # a list may spell a name in several ways
        rest = [record for record in records["train"] if record.image_id not in held_out]
        records["train"], records["val"] = split(rest, self._val_share, self._seed, len(self.classes))
        return records

    @staticmethod
    def _required(lists: dict[str, Path]) -> set[str]:
        """One of the two lists without the other is a mistake; without both the images are split here."""
        return {"train", "val"} if lists["train"].exists() or lists["val"].exists() else set()

    def _folder(self, name: str, setting: str) -> Path:
        path = self._root.find(name, self._root.path, setting)
        if not path.is_dir():
            raise LightdetError(f"{path}: no such folder; correct data.reader.root or {setting}")
        return path

    def _classes_found(self) -> tuple[str, ...]:
        """The names in all XML files that can be read; `read` says which cannot."""
        counts = Counter[str]()
        unread: list[LightdetError] = []
        for path in self._labels_on_disk():
            try:
                nodes = self._objects(self._tree(self._root.inside(path, self._annotations)), path)
            except LightdetError as error:
                unread.append(error)
                continue
            counts.update((node.findtext("name") or "").strip() for node in nodes)
        counts.pop("", None)
        if unread and not counts:
            raise unread[0]
        if not counts:
            raise LightdetError(
                f"{self._annotations}: no XML file with an object, so there is no class to find; correct "
                "data.reader.annotations, or name them with 'data.reader.classes=[scratch,dent]'"
            )
        names = checked_classes(sorted(counts), self._annotations)
        told = ", ".join(f"{name} ({counts[name]:,})" for name in names)
        self._taken = f"no data.reader.classes given: taken are those found, in this order: {told}"
        return names

    @staticmethod
    def _tree(path: Path) -> Element:
        return load_xml(path, "annotation", "is it Pascal VOC?")

    @staticmethod
    def _objects(tree: Element, path: Path) -> list[Element]:
        """The objects of a file. Raises LightdetError where there are others that would not be read."""
        found = tree.findall("object")
        if len(found) < sum(node.tag.lower() == "object" for node in tree.iter()):
            raise LightdetError(
                f"{path}: an <object> is written in capitals or not directly in <annotation>; correct it"
            )
        return found

    def _labels_on_disk(self) -> list[Path]:
        return [path for path in self._xml_files() if not is_hidden(path.relative_to(self._annotations))]

    def _xml_files(self) -> list[Path]:
        return sorted(path for path in self._annotations.rglob("*") if path.suffix.lower() == ".xml")

    def _count_lonely_labels(self, images: Sequence[Path]) -> None:
        """A renamed image, or one with a suffix that is not read, leaves its labels alone."""
        places = [path.relative_to(self._images).with_suffix("") for path in images]
        known = {normalize("NFC", name) for place in places for name in (place.as_posix(), place.name)}
        hidden = [path for path in self._xml_files() if is_hidden(path.relative_to(self._annotations))]
        self._root.left_out.extend("label files with names that no person gave", hidden)
        for path in self._labels_on_disk():
            place = path.relative_to(self._annotations).with_suffix("").as_posix()
            if normalize("NFC", place) not in known:
                self._root.left_out.add("label files without an image", path)

    def _names_in(self, path: Path) -> list[str]:
        """The names in a list, without the flags that all lines may have: `plate 1` is a name where an image has it."""
        lines = read_list(path, self._is_image, self._root.left_out)
        flagged = [FLAGGED.fullmatch(line) for line in lines]
        names = []
        for line, found in zip(lines, flagged, strict=True):
            name = found[1] if found and all(flagged) and not self._is_image(line) else line
            if self._root.hidden(name, self._images):
                self._root.left_out.add(HIDDEN_NAMES, f"{path}: {name}")
            else:
                names.append(name)
        return names

    def _is_image(self, name: str) -> bool:
        try:
            places = [self._root.locate(each, self._images, "") for each in (name, _stem(name))]
        except LightdetError:
            return False
        return any(self._root.images_named(place) for place in places)

    def _read_one(self, named: tuple[str, Path]) -> Record:
        name, said_by = named
        if not self._root.images_named(self._root.locate(name, self._images, said_by)):
            name = _stem(name)
        image = self._root.image(name, self._images, said_by)
        path = self._root.find(name + ".xml", self._annotations, said_by)
        if not path.exists() and "/" in name:
            path = self._root.find(Path(name).name + ".xml", self._annotations, said_by)
        if not path.exists():
            raise LightdetError(
                f"{path}: {image.name} has no annotation; write one, without objects for an image without defects"
            )
        if (other := self._image_of.setdefault(path, image)) != image:
            raise LightdetError(
                f"{path}: found for {other} and {image}; put the XML files into folders named as those of the images"
            )
        tree = self._tree(path)
        self._compare_name(tree, image, path)
        header = self._root.header(image)
        _check_size(tree, header, path)
        claims = []
        for index, node in enumerate(self._objects(tree, path), start=1):
            if not self._keep_difficult and (node.findtext("difficult") or "").strip().lower() in ("1", "true"):
                self._root.left_out.add("objects that are marked as difficult", f"{path}: object {index}")
            else:
                claims.append(self._claim(node, f"object {index}", path))
        return make_record(self._root, image, claims, path, header[:2])

    def _compare_name(self, tree: Element, image: Path, path: Path) -> None:
        """Notes a <filename> that is another image: one of the two files may have been renamed alone."""
        name = (tree.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2]
        stem = normalize("NFC", _stem(name))
        if name and stem != normalize("NFC", image.stem) and self._root.images_named(image.with_name(stem)):
            self._misnamed[path] = name

    def _claim(self, node: Element, place: str, path: Path) -> Claim:
        name = (node.findtext("name") or "").strip()
        if name not in self._labels:
            raise unknown_class(name, self.classes, place, path)
        boxes = node.findall("bndbox")
        if not boxes:
            raise LightdetError(f"{path}: {place}: no <bndbox>; add one or remove the object")
        if len(boxes) > 1:
            raise LightdetError(f"{path}: {place}: {len(boxes)} <bndbox>; write an <object> for each")
        x1, y1, x2, y2 = (parse_number(boxes[0].findtext(corner), f"{place}: <{corner}>", path) for corner in CORNERS)
        return Claim(place, self._labels[name], (x1, y1, x2, y2))


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("")) if Path(name).suffix.lower() in IMAGE_SUFFIXES else name


def _check_size(tree: Element, header: Header, path: Path) -> None:
    """Boxes drawn on an image of another size would all be wrong; a file without a size is believed."""
    node = tree.find("size")
    if node is not None:
        height, width = (parse_number(node.findtext(side) or "0", f"<{side}>", path) for side in ("height", "width"))
        if contradiction := wrong_size(height, width, header):
            raise LightdetError(f"{path}: {contradiction}")
