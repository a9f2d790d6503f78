"""YOLO text files: a line `class cx cy w h` per object, in shares of the image, and a data.yaml with the folders."""

import os
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from lightdet.core.errors import LightdetError
from lightdet.data.files import DataRoot, read_list, read_text
from lightdet.data.image import IMAGE_SUFFIXES, original_size
from lightdet.data.labels import Claim, checked_classes, make_record, parse_number, read_each, unknown_class
from lightdet.data.record import Record
from lightdet.data.split import split


class Yolo:
    """The dataset of a `data.yaml`: `names`, and under `train`, `val`, `test` a folder, a list file, or several.

    Those are relative to the folder `path` where it names one inside `root`, otherwise to the folder of data.yaml.
    The labels of `.../images/a.jpg` are in `.../labels/a.txt`, those of other images beside them. As everywhere with
    this format, an image without a label file is one without objects; a split without any label file is refused.
    Polygons (`class x1 y1 x2 y2 x3 y3 ...`) become the boxes around them. Without `val`, the images of `train` are
    split by `val_share` and `seed`.
    """

    def __init__(
        self,
        root: str,
        data_yaml: str = "data.yaml",
        val_share: float = 0.2,
        seed: int = 0,
        follow_links: bool = False,
    ) -> None:
        self._root = DataRoot(root, follow_links)
        self._yaml_path = self._root.locate(data_yaml, self._root.path, "data.reader.data_yaml")
        self._config = load_yaml(self._yaml_path)
        self.classes = _class_names(self._config, self._yaml_path)
        self._labels = {str(label): label for label in range(len(self.classes))}
        self._val_share = val_share
        self._seed = seed
        self.doubts: tuple[str, ...] = ()

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every file that is missing, broken or contradictory."""
        images = {name: self._images(name) for name in ("train", "val", "test") if self._sources(name)}
        if "train" not in images:
            raise LightdetError(f"{self._yaml_path}: no 'train'; name the folder or list file with the training images")
        for name, paths in images.items():
            if not any(self._label_path(path).is_file() for path in paths):
                example = self._label_path(paths[0])
                raise LightdetError(
                    f"{example}: no label file for any image of '{name}'; labels are expected like this"
                )
        everything = {path for paths in images.values() for path in paths}
        self.doubts = self._lonely_labels(everything) + self._shared_labels(everything)
        records = read_each(images, self._read_one)
        if "val" not in records:
            train, val = split(records["train"], self._val_share, self._seed, len(self.classes))
            records = {**records, "train": train, "val": val}
        return records

    def _sources(self, name: str) -> list[str]:
        """The folders and list files of a split; none when data.yaml leaves it out."""
        value = self._config.get(name)
        sources = value if isinstance(value, list) else [] if value in (None, "") else [value]
        if not all(isinstance(source, str) for source in sources):
            raise LightdetError(f"{self._yaml_path}: '{name}' must be a folder, a list file, or a list of them")
        return sources

    def _images(self, name: str) -> list[Path]:
        images: list[Path] = []
        for source in self._sources(name):
            place = self._find(source)
            images.extend(self._walk(place) if place.is_dir() else self._listed(place))
        repeated = next((path for path, times in Counter(images).items() if times > 1), None)
        if repeated is not None:
            raise LightdetError(f"{self._yaml_path}: '{name}' has {repeated} twice; name each image once")
        if not images:
            raise LightdetError(f"{self._yaml_path}: no images in the '{name}' split; fill it or remove the key")
        return images

    def _find(self, source: str) -> Path:
        """Where a folder or list file is. Roboflow writes `../train/images` for what lies beside data.yaml."""
        beside = self._yaml_path.parent
        named = self._config.get("path")
        if isinstance(named, str) and named:
            base = Path(os.path.normpath(beside / named))
            if base.is_relative_to(self._root.path) and (base / source).exists():
                return self._root.locate(source, base, self._yaml_path)
        if source.startswith("../") and not (beside / source).resolve().is_relative_to(self._root.path):
            unprefixed = beside / source.removeprefix("../")
            if unprefixed.exists():
                return self._root.locate(str(unprefixed), beside, self._yaml_path)
        place = self._root.locate(source, beside, self._yaml_path)
        if not place.exists():
            raise LightdetError(
                f"{place}: no such folder or list file, but {self._yaml_path} names it; correct it there"
            )
        return place

    def _walk(self, folder: Path) -> list[Path]:
        found: list[Path] = []
        entered: set[str] = set()
        for parent, folders, names in os.walk(folder, followlinks=True):  # `locate` judges where a link leads to
            real = os.path.realpath(parent)
            if real in entered:  # a link leads here, or back above
                folders.clear()
                continue
            entered.add(real)
            folders.sort()
            found += [Path(parent) / name for name in names]
        images = sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES)
        return [self._root.locate(path.name, path.parent, self._yaml_path) for path in images]

    def _listed(self, list_file: Path) -> list[Path]:
        """Lines are relative to the list's own folder or, failing that, to the one of data.yaml."""
        images = []
        for line in read_list(list_file):
            image = self._root.locate(line, list_file.parent, list_file)
            if not image.is_file() and (self._yaml_path.parent / line).is_file():
                image = self._root.locate(line, self._yaml_path.parent, list_file)
            images.append(image)
        return images

    def _label_path(self, image: Path) -> Path:
        """Beside the image, or where `labels` replaces the last `images` on the way from the dataset's folder."""
        parts = list(image.parts)
        above = len(self._root.path.parts) if image.is_relative_to(self._root.path) else 0
        for index in range(len(parts) - 2, above - 1, -1):
            if parts[index] == "images":
                parts[index] = "labels"
                break
        return Path(*parts).with_suffix(".txt")

    def _lonely_labels(self, images: set[Path]) -> tuple[str, ...]:
        """A line about label files beside those that are read which belong to no image on disk: a renamed one makes its
        image one without objects."""
        read = {self._label_path(image) for image in images}
        pairs = {(self._label_path(image).parent, image.parent) for image in images}
        lonely = []
        for labels, beside in sorted(pairs):
            if labels == beside or not labels.is_dir():  # beside images, a text file may be anything
                continue
            stems = {path.stem for path in beside.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
            lonely += sorted(
                path for path in labels.glob("*.txt") if path not in read and path.stem not in {*stems, "classes"}
            )
        if not lonely:
            return ()
        count = "1 label file" if len(lonely) == 1 else f"{len(lonely)} label files"
        text = "an image whose label file has another name counts as one without objects"
        return (f"{count} without an image, such as {lonely[0]}: {text}",)

    def _shared_labels(self, images: set[Path]) -> tuple[str, ...]:
        """A line about images that differ in their suffix alone, most likely one image saved twice: both have the boxes
        of the one label file, and a random split may separate them."""
        times = Counter(self._label_path(image) for image in images)
        shared = sorted(path for path, count in times.items() if count > 1)
        if not shared:
            return ()
        count = "1 label file" if len(shared) == 1 else f"{len(shared)} label files"
        text = "images that differ in their suffix alone count as several, and may be both learnt from and measured on"
        return (f"{count} of more than one image, such as {shared[0]}: {text}",)

    def _read_one(self, image: Path) -> Record:
        size = original_size(image)
        path = self._label_path(image)
        self._root.locate(path.name, path.parent, image)  # a link is followed on the same terms as elsewhere
        rows = read_text(path).splitlines() if path.is_file() else []
        claims = [self._claim(row, f"line {n}", path, size) for n, row in enumerate(rows, start=1) if row.strip()]
        return make_record(self._root, image, claims, path, size)

    def _claim(self, row: str, place: str, path: Path, size: tuple[int, int]) -> Claim:
        words = row.split()
        if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
            raise LightdetError(f"{path}: {place}: {len(words)} values where `class cx cy w h` is expected; correct it")
        label = self._labels.get(words[0])
        if label is None:
            numbered = [f"{known} ({name})" for known, name in enumerate(self.classes)]
            raise unknown_class(words[0], numbered, place, path)
        height, width = size
        numbers = [parse_number(word, place, path) for word in words[1:]]
        if len(numbers) == 4:
            cx, cy, w, h = numbers
            box = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
        else:
            xs, ys = numbers[::2], numbers[1::2]
            box = (min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height)
        return Claim(place, label, box)


class _StrictLoader(yaml.SafeLoader):
    """YAML in which no key is repeated."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
        if repeated is not None:
            raise yaml.MarkedYAMLError(problem=f"the key {str(repeated)[:40]!r} occurs twice")
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises LightdetError for anything else."""
    try:
        content = yaml.load(read_text(path), _StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or "not YAML").split())
        raise LightdetError(f"{path}: unreadable YAML ({problem}{line}); correct the file") from error
    except (ValueError, RecursionError, TypeError) as error:  # impossible dates, nesting without end, odd keys
        raise LightdetError(f"{path}: unreadable YAML ({type(error).__name__}); correct the file") from error
    if not isinstance(content, dict):
        raise LightdetError(f"{path}: not a mapping; a data.yaml has the keys names, train and val")
    return content


def _class_names(config: dict[str, Any], path: Path) -> tuple[str, ...]:
    """`names` as a list, or as a mapping from 0..C-1. Raises LightdetError."""
    names = config.get("names")
    if isinstance(names, dict):
        if not all(type(key) is int for key in names) or sorted(names) != list(range(len(names))):
            raise LightdetError(f"{path}: the keys of 'names' must be 0, 1, 2 ... without a gap")
        names = [names[label] for label in range(len(names))]
    if not isinstance(names, list):
        raise LightdetError(f"{path}: 'names' is missing or not a list; name the classes there")
    classes = checked_classes(names, f"{path}, 'names'")
    if config.get("nc", len(classes)) != len(classes):
        raise LightdetError(f"{path}: 'nc' contradicts the {len(classes)} 'names'; correct one of them")
    return classes
