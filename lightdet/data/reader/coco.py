"""COCO JSON (Lin et al. 2014): images, categories and boxes in one file per split."""

import json
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from lightdet.core.errors import LightdetError
from lightdet.data.files import DataRoot, read_text
from lightdet.data.image import original_size
from lightdet.data.labels import Claim, checked_classes, make_record, read_each, unknown_class
from lightdet.data.record import Record
from lightdet.data.split import split

Key = int | str  # COCO's ids: numbers as a rule, texts with some tools
UNUSED = frozenset({"segmentation", "keypoints", "caption"})  # bulky, and of no use to a box detector


class Listed(NamedTuple):
    """One entry under "images", with its boxes."""

    file_name: str
    claims: list[Claim]
    folder: Path  # that file_name starts from
    json_path: Path
    size: tuple[Any, Any]  # height, width as the file claims


class Coco:
    """One JSON file per split, or one alone (`val=None`) that is split by `val_share` and `seed`.

    Labels follow the category ids of the `train` file in ascending order; the other files must know the same names.
    Crowd regions (`iscrowd`) are left out. File names start from `train_images` and so on; where that is None, from
    the folder of the JSON file.
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
    ) -> None:
        self._root = DataRoot(root, follow_links)
        named = {"train": (train, train_images), "val": (val, val_images), "test": (test, test_images)}
        self._places = {
            name: self._place(name, json_name, images)
            for name, (json_name, images) in named.items()
            if json_name is not None
        }
        self._val_share = val_share
        self._seed = seed
        self._train_document = load_json(self._places["train"][0])
        self.classes = tuple(_categories(self._train_document, self._places["train"][0]).values())

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every file that is missing, broken or contradictory."""
        listed = {}
        for name, (json_path, folder) in self._places.items():
            document = self._train_document if name == "train" else load_json(json_path)
            listed[name] = _listed_images(document, json_path, folder, self.classes)
            if not listed[name]:
                raise LightdetError(
                    f"{json_path}: no images for the {name} split; fill it or set data.reader.{name}=null"
                )
        records = read_each(listed, self._read_one)
        if "val" not in records:
            train, val = split(records["train"], self._val_share, self._seed, len(self.classes))
            records = {**records, "train": train, "val": val}
        return records

    def _place(self, name: str, json_name: str, images: str | None) -> tuple[Path, Path]:
        """The JSON file of a split and the folder of its images."""
        json_path = self._root.file(json_name, self._root.path, f"data.reader.{name}")
        if images is None:
            return json_path, json_path.parent
        return json_path, self._root.locate(images, self._root.path, f"data.reader.{name}_images")

    def _read_one(self, listed: Listed) -> Record:
        image = self._root.file(listed.file_name, listed.folder, listed.json_path)
        size = original_size(image)
        if listed.size != (None, None) and listed.size != size:
            raise LightdetError(
                f"{listed.json_path}: {listed.file_name}: the file claims another width and height than the image has "
                f"({size[1]} x {size[0]} px); annotate this image, or correct the two numbers"
            )
        return make_record(self._root, image, listed.claims, listed.json_path, size)


def load_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, in which no key is repeated. Raises LightdetError for anything else."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            names = [name for name, _ in pairs]
            repeated = next(name for index, name in enumerate(names) if name in names[:index])
            raise LightdetError(f"{path}: the key {repeated[:40]!r} occurs twice in one object; remove one of the two")
        return {name: value for name, value in content.items() if name not in UNUSED}

    def refuse(constant: str) -> NoReturn:
        raise LightdetError(f"{path}: {constant} is no JSON number; correct or remove the object that has it")

    try:
        content = json.loads(read_text(path), object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise LightdetError(f"{path}: not JSON ({reason}); is it complete? export it again") from error
    if not isinstance(content, dict):
        raise LightdetError(f"{path}: not a JSON object; COCO has images, annotations and categories at the top")
    return content


def _entries(document: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    entries = document.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise LightdetError(f"{path}: {key!r} is missing or not a list of objects; export it as COCO instances")
    return entries


def _key(entry: dict[str, Any], name: str, place: str, path: Path) -> Key:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise LightdetError(f"{path}: {place}: {name!r} is missing or neither a whole number nor a text; correct it")
    return value


def _unique(entries: list[dict[str, Any]], kind: str, path: Path) -> dict[Key, dict[str, Any]]:
    """Entries by id. Raises LightdetError for an id that is missing or used twice."""
    by_id: dict[Key, dict[str, Any]] = {}
    for index, entry in enumerate(entries):
        key = _key(entry, "id", f"{kind}[{index}]", path)
        if key in by_id:
            raise LightdetError(f"{path}: {kind}[{index}]: the id {key!r} is used twice; give each its own")
        by_id[key] = entry
    return by_id


def _categories(document: dict[str, Any], path: Path) -> dict[Key, str]:
    """Class names by category id, in ascending order of the ids."""
    by_id = _unique(_entries(document, "categories", path), "categories", path)
    ordered = sorted(by_id, key=lambda key: (isinstance(key, str), key))
    names = checked_classes((by_id[key].get("name") for key in ordered), f"{path}, 'categories'")
    return dict(zip(ordered, names, strict=True))


def _listed_images(document: dict[str, Any], path: Path, folder: Path, classes: tuple[str, ...]) -> list[Listed]:
    names = _categories(document, path)
    listed: dict[Key, Listed] = {}
    files: set[str] = set()
    for index, (key, entry) in enumerate(_unique(_entries(document, "images", path), "images", path).items()):
        file_name = entry.get("file_name")
        if not isinstance(file_name, str) or not file_name:
            raise LightdetError(f"{path}: images[{index}]: 'file_name' is missing or not a text; correct it")
        if file_name in files:
            raise LightdetError(f"{path}: images[{index}]: {file_name!r} is listed twice; merge the two entries")
        files.add(file_name)
        listed[key] = Listed(file_name, [], folder, path, (entry.get("height"), entry.get("width")))
    annotations = _entries(document, "annotations", path)
    _unique(annotations, "annotations", path)
    for index, entry in enumerate(annotations):
        place = f"annotations[{index}]"
        image = listed.get(_key(entry, "image_id", place, path))
        if image is None:
            raise LightdetError(
                f"{path}: {place}: no image has the id {entry['image_id']!r}; remove it or add the image"
            )
        category = names.get(_key(entry, "category_id", place, path))
        if category not in classes:
            raise unknown_class(category or entry["category_id"], classes, place, path)
        crowd = entry.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise LightdetError(f"{path}: {place}: 'iscrowd' is {str(crowd)[:40]!r}; give 0 or 1")
        if not crowd:
            image.claims.append(_claim(entry, place, path, classes.index(category)))
    return list(listed.values())


def _claim(entry: dict[str, Any], place: str, path: Path, label: int) -> Claim:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or any(type(value) not in (int, float) for value in box):
        raise LightdetError(f"{path}: {place}: 'bbox' is not a list of four numbers [x, y, width, height]; correct it")
    try:
        x, y, width, height = map(float, box)
    except OverflowError as error:
        raise LightdetError(f"{path}: {place}: 'bbox' has a number beyond all images; correct it") from error
    return Claim(place, label, (x, y, x + width, y + height))
