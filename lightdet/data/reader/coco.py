"""COCO JSON (Lin et al. 2014): images, categories and boxes in one file per split."""

from pathlib import Path
from typing import Any, NamedTuple

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.data.files import DataRoot
from lightdet.data.json_file import entries, load_json
from lightdet.data.labels import MOST_SIDE, Claim, checked_classes, make_record, read_each, unknown_class, wrong_size
from lightdet.data.record import Record
from lightdet.data.search import HIDDEN_NAMES, find_images
from lightdet.data.split import split

Key = int | str  # COCO's ids: numbers as a rule, texts with some tools
BESIDE = (".json", ".xml", ".txt", ".csv", ".yaml", ".md")  # what may lie among the images
CROWD = ("ignore", "teach")
CROWD_LEFT_OUT = "regions of many objects ('iscrowd': 1), not learnt (data.reader.crowd=teach makes boxes of them)"
UNUSED = frozenset({"segmentation", "keypoints", "caption"})  # bulky, and of no use to a box detector


class Listed(NamedTuple):
    """One entry under "images", with its boxes."""

    place: str
    file_name: str
    claims: list[Claim]
    crowd: list[Claim]
    folder: Path  # that file_name starts from
    json_path: Path
    size: tuple[float, float]  # height, width as the file claims, px; 0: not given


class Coco:
    """One JSON file per split, or one alone (`val=None`) that is split by `val_share` and `seed`.

    Labels follow the category ids of the `train` file in ascending order; the other files must know the same names. A
    category without a box that is only the supercategory of others, as Roboflow writes one, is no class. File names
    start from `train_images` and so on; where that is None, from the folder of the JSON file.

    `crowd` says what a region with `iscrowd: 1` is, which many tools also write for an object drawn with a brush:
    "ignore": a region of many objects (`Boxes.crowd_xyxy`), in which the metric counts no detection of its class as
    wrong; a training sees no object there, so it learns the region as background. "teach": an ordinary box.
    """

    def __init__(
        self,
        root: str,
        train: str,
        val: str | None = None,
        test: str | None = None,
        train_images: str | None = None,
        val_images: str | None = None,
        test_images: str | None = None,
        val_share: float = 0.2,
        seed: int = 0,
        follow_links: bool = False,
        crowd: str = "ignore",
    ) -> None:
        if crowd not in CROWD:
            raise LightdetError(f"data.reader.crowd={crowd}: one of {', '.join(CROWD)}")
        self._teaches_crowd = crowd == "teach"
        self._root = DataRoot(root, follow_links)
        named = {"train": (train, train_images), "val": (val, val_images), "test": (test, test_images)}
        self._places = {
            name: self._place(name, json_name, images)
            for name, (json_name, images) in named.items()
            if json_name is not None
        }
        self._val_share = val_share
        self._seed = seed
        self._train_document = load_document(self._places["train"][0])
        self._no_class = self._only_above()
        names = _categories(self._train_document, self._places["train"][0])
        self.classes = tuple(name for name in names.values() if name not in self._no_class)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What `read` left out, and the categories that are no classes."""
        dropped = (
            f"the category {name!r} has no box and is only the supercategory of others: it is no class"
            for name in self._no_class
        )
        return (*dropped, *self._root.left_out.lines())

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every file that is missing, broken or contradictory."""
        self._root.left_out = LeftOut()
        listed = {}
        for name, (json_path, folder) in self._places.items():
            listed[name] = self._listed_images(self._document(name), json_path, folder)
            if not listed[name]:
                raise LightdetError(
                    f"{json_path}: no images for the {name} split; fill it or set data.reader.{name}=null"
                )
        records = read_each(listed, self._read_one)
        self._count_unnamed({record.path for some in records.values() for record in some})
        if "val" not in records:
            train, val = split(records["train"], self._val_share, self._seed, len(self.classes))
            records = {**records, "train": train, "val": val}
        return records

    def _count_unnamed(self, used: set[Path]) -> None:
        """Images that lie where the others do, and that no file names."""
        folders = {folder for _, folder in self._places.values() if folder.is_dir()}
        for folder in sorted(folders):
            if not any(folder.is_relative_to(other) for other in folders - {folder}):
                found = find_images(folder, self._root.left_out, BESIDE)
                self._root.left_out.extend(
                    "images that no JSON file names", (path for path in found if path not in used)
                )

    def _document(self, name: str) -> dict[str, Any]:
        return self._train_document if name == "train" else load_document(self._places[name][0])

    def _only_above(self) -> tuple[str, ...]:
        """Categories of the training file that have no box in any file and are the supercategory of another one."""
        path = self._places["train"][0]
        known = _unique(entries(self._train_document, "categories", path), "categories", path).values()
        above = {str(entry.get("supercategory")) for entry in known if entry.get("supercategory") != entry.get("name")}
        roots = {entry["name"] for entry in known if isinstance(entry.get("name"), str) and entry["name"] in above}
        for name, (json_path, _) in self._places.items() if roots else ():
            document = self._document(name)
            names = _categories(document, json_path)
            for entry in entries(document, "annotations", json_path):
                roots.discard(names.get(_key(entry, "category_id", "annotations", json_path), ""))
        return tuple(sorted(roots))

    def _place(self, name: str, json_name: str, images: str | None) -> tuple[Path, Path]:
        """The JSON file of a split and the folder of its images."""
        json_path = self._root.file(json_name, self._root.path, f"data.reader.{name}")
        if images is None:
            return json_path, json_path.parent
        return json_path, self._root.locate(images, self._root.path, f"data.reader.{name}_images")

    def _read_one(self, listed: Listed) -> Record:
        image = self._root.file(listed.file_name, listed.folder, f"{listed.json_path}: {listed.place}")
        header = self._root.header(image)
        if contradiction := wrong_size(*listed.size, header):
            raise LightdetError(f"{listed.json_path}: {listed.place}: {listed.file_name}: {contradiction}")
        return make_record(self._root, image, listed.claims, listed.json_path, header[:2], listed.crowd)

    def _listed_images(self, document: dict[str, Any], path: Path, folder: Path) -> list[Listed]:
        """The images of a file with their boxes; hidden ones are left out with theirs."""
        names = _categories(document, path)
        listed = _by_id(document, path, folder)
        annotations = entries(document, "annotations", path)
        _unique(annotations, "annotations", path)
        for index, entry in enumerate(annotations):
            place = _place_of("annotations", index, entry)
            image_id = _key(entry, "image_id", place, path)
            if image_id not in listed:
                other = "a text" if isinstance(image_id, str) else "a number"
                raise LightdetError(
                    f"{path}: {place}: no image has the id {image_id!r} ({other}); correct 'image_id', or add the image"
                )
            category = names.get(_key(entry, "category_id", place, path))
            if category not in self.classes:
                raise unknown_class(category or entry["category_id"], self.classes, place, path)
            crowd = entry.get("iscrowd") or 0
            if crowd not in (0, 1):
                raise LightdetError(f"{path}: {place}: 'iscrowd' is {str(crowd)[:40]!r}; give 0 or 1")
            claim = _claim(entry, place, path, self.classes.index(category))
            if crowd and not self._teaches_crowd:
                self._root.left_out.add(CROWD_LEFT_OUT, f"{path}: {place}")
                listed[image_id].crowd.append(claim)
            else:
                listed[image_id].claims.append(claim)
        kept = []
        for image in listed.values():
            if self._root.hidden(image.file_name, folder):
                self._root.left_out.add(HIDDEN_NAMES, f"{path}: {image.file_name}")
            else:
                kept.append(image)
        return kept


def load_document(path: Path) -> dict[str, Any]:
    """The object in a COCO file. Raises LightdetError for anything else."""
    content = load_json(path, UNUSED)
    if not isinstance(content, dict):
        raise LightdetError(f"{path}: not a JSON object; COCO has images, annotations and categories at the top")
    return content


def _place_of(kind: str, index: int, entry: dict[str, Any]) -> str:
    """Where an entry is, for messages: its index, and its id where it has one."""
    key = entry.get("id")
    return f"{kind}[{index}] (id {str(key)[:40]!s})" if isinstance(key, int | str) else f"{kind}[{index}]"


def _key(entry: dict[str, Any], name: str, place: str, path: Path) -> Key:
    """An id; 3.0, as programs write it that know only decimals, is 3."""
    value = entry.get(name)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise LightdetError(f"{path}: {place}: {name!r} is missing or neither a whole number nor a text; correct it")
    return value


def _unique(listed: list[dict[str, Any]], kind: str, path: Path) -> dict[Key, dict[str, Any]]:
    """Entries by id. Raises LightdetError for an id that is missing or used twice."""
    by_id: dict[Key, dict[str, Any]] = {}
    for index, entry in enumerate(listed):
        key = _key(entry, "id", f"{kind}[{index}]", path)
        if key in by_id:
            raise LightdetError(f"{path}: {kind}[{index}]: the id {key!r} is used twice; give each its own")
        by_id[key] = entry
    return by_id


def _categories(document: dict[str, Any], path: Path) -> dict[Key, str]:
    """Class names by category id, in ascending order of the ids."""
    by_id = _unique(entries(document, "categories", path), "categories", path)
    ordered = sorted(by_id, key=lambda key: (isinstance(key, str), key))
    names = checked_classes((by_id[key].get("name") for key in ordered), f"{path}, 'categories'")
    return dict(zip(ordered, names, strict=True))


def _by_id(document: dict[str, Any], path: Path, folder: Path) -> dict[Key, Listed]:
    """The images of a file by id, still without their boxes. Raises LightdetError."""
    listed: dict[Key, Listed] = {}
    files: set[str] = set()
    for index, (key, entry) in enumerate(_unique(entries(document, "images", path), "images", path).items()):
        place = _place_of("images", index, entry)
        file_name = entry.get("file_name")
        if not isinstance(file_name, str) or not file_name:
            raise LightdetError(f"{path}: {place}: 'file_name' is missing or not a text; correct it")
        if file_name in files:
            raise LightdetError(f"{path}: {place}: {file_name!r} is listed twice; merge the two entries")
        files.add(file_name)
        height, width = (_side(entry, side, place, path) for side in ("height", "width"))
        listed[key] = Listed(place, file_name, [], [], folder, path, (height, width))
    return listed


def _side(entry: dict[str, Any], side: str, place: str, path: Path) -> float:
    """Height or width, px; 0 where the file does not give it."""
    value = entry.get(side)
    if value is None:
        return 0.0
    if type(value) not in (int, float):
        raise LightdetError(
            f"{path}: {place}: {side!r} is {str(value)[:40]!r} and no number; write it without quotes, or leave it out"
        )
    return float(min(value, MOST_SIDE))


def _claim(entry: dict[str, Any], place: str, path: Path, label: int) -> Claim:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or any(type(value) not in (int, float) for value in box):
        raise LightdetError(
            f"{path}: {place}: 'bbox' is {str(box)[:40]} and not four numbers, [x, y, width, height]; correct it"
        )
    try:
        x, y, width, height = map(float, box)
    except OverflowError as error:
        raise LightdetError(f"{path}: {place}: 'bbox' has a number beyond all images; correct it") from error
    return Claim(place, label, (x, y, x + width, y + height))
