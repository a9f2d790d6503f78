"""YOLO text files: a line `class cx cy w h` per object, in shares of the image, and a data.yaml with the folders."""

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from unicodedata import normalize

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut, is_hidden
from lightdet.data.files import DataRoot, read_list, read_text
from lightdet.data.image import IMAGE_SUFFIXES
from lightdet.data.labels import make_record, read_each
from lightdet.data.reader.data_yaml import class_names, load_yaml, missing_yaml
from lightdet.data.reader.yolo_rows import Rows
from lightdet.data.record import Record
from lightdet.data.search import HIDDEN_NAMES, find_images
from lightdet.data.split import split

BESIDE = (".txt", ".cache", ".yaml", ".yml")  # what may lie among the images
OTHER_NAMES = ("valid", "validation", "dev")  # of the split that this format calls val
Listed = tuple[Path, Path]  # an image, and the list or data.yaml that led to it


class Yolo:
    """The dataset of a `data.yaml`: `names`, and under `train`, `val`, `test` a folder, a list file, or several.

    Those are relative to the folder `path` where it names one inside `root`, otherwise to the folder of data.yaml.
    The labels of `.../images/a.jpg` are in `.../labels/a.txt`, those of other images beside them. As everywhere with
    this format, an image without a label file is one without objects, which `doubts` counts; a split without any label
    file is refused. Outlines (`class x1 y1 x2 y2 x3 y3 ...`) become the boxes around them; `kpt_shape` in data.yaml
    says that rows have key points (`yolo_rows.py`). Without `val`, the images of `train` are split by `val_share` and
    `seed`. A `test` that is not there or has no labels is told, and there is no test split then.
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
        self._yaml_path, self._beside, self._config = self._load(data_yaml)
        self.classes = class_names(self._config, self._yaml_path)
        self._val_share = val_share
        self._seed = seed
        self._rows = self._new_rows()
        self._told: list[str] = []
        self._label_of: dict[Path, Path] = {}

    @property
    def doubts(self) -> tuple[str, ...]:
        """What `read` left out, and what it saw of labels that are missing or of no use."""
        return (*self._told, *self._rows.doubts, *self._root.left_out.lines())

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every file that is missing, broken or contradictory."""
        self._root.left_out, self._rows, self._told, self._label_of = LeftOut(), self._new_rows(), [], {}
        images = {name: found for name in ("train", "val", "test") if (found := self._images(name))}
        if "train" not in images:
            raise LightdetError(f"{self._yaml_path}: no 'train'; name the folder or list file with the training images")
        for name in ("train", "val", "test"):
            if name in images and not self._is_labelled(name, images[name]):
                del images[name]
        everything = {path for found in images.values() for path, _ in found}
        self._count_unlisted([one for found in images.values() for one in found])
        self._tell_of_labels(everything)
        try:
            records = read_each(images, self._read_one)
        finally:
            self._rows.demand_outlines()  # rather than what follows from columns that are none of an outline
        if "val" not in records:
            self._told += [
                f"{self._yaml_path} has {key!r}, which is not read: the key is 'val'"
                for key in OTHER_NAMES
                if key in self._config
            ]
            train, val = split(records["train"], self._val_share, self._seed, len(self.classes))
            records = {**records, "train": train, "val": val}
        return records

    def _load(self, data_yaml: str) -> tuple[Path, Path, dict[str, Any]]:
        """What messages name, the folder that relative names start from, and the keys of data.yaml."""
        path = self._root.locate(data_yaml, self._root.path, "data.reader.data_yaml")
        if not os.path.lexists(path):
            raise missing_yaml(path)
        return path, path.parent, load_yaml(path)

    def _new_rows(self) -> Rows:
        return Rows(self.classes, self._config.get("kpt_shape"), self._yaml_path)

    def _is_labelled(self, name: str, images: list[Listed]) -> bool:
        """False for a test split without labels. Raises LightdetError for another one, and where no image is there."""
        there = [path for path, _ in images if path.exists()]
        if not there:
            path, said_by = images[0]
            raise LightdetError(
                f"{path}: no such image, nor any other of the {len(images)} that {said_by} names for '{name}'; "
                f"correct the names there (they start from its folder, or from that of {self._yaml_path.name})"
            )
        if any(self._label_path(path).exists() for path in there):
            return True
        text = f"{self._label_path(there[0])}: no label file for any image of '{name}'; labels are expected like this"
        if name != "test":
            raise LightdetError(text)
        self._told.append(f"{text}: there is no test split")
        return False

    def _sources(self, name: str) -> list[str]:
        """The folders and list files of a split; none when data.yaml leaves it out."""
        value = self._config.get(name)
        sources = value if isinstance(value, list) else [] if value in (None, "") else [value]
        if not all(isinstance(source, str) for source in sources):
            raise LightdetError(f"{self._yaml_path}: '{name}' must be a folder, a list file, or a list of them")
        return sources

    def _images(self, name: str) -> list[Listed]:
        """The images of a split; none where data.yaml does not name it, or names a test split that is not there."""
        sources = self._sources(name)
        images: list[Listed] = []
        for source in sources:
            place = self._find(source)
            if place.is_dir():
                found = find_images(place, self._root.left_out, BESIDE)
                images += [(self._root.inside(path, self._yaml_path), self._yaml_path) for path in found]
            elif place.exists():
                images += [(path, place) for path in self._listed(place)]
            elif name != "test":
                raise LightdetError(
                    f"{place}: no such folder or list file, but {self._yaml_path} names it for '{name}'; correct it"
                )
        repeated = next((path for path, times in Counter(path for path, _ in images).items() if times > 1), None)
        if repeated is not None:
            raise LightdetError(f"{self._yaml_path}: '{name}' has {repeated} twice; name each image once")
        if sources and not images and name == "test":
            named = ", ".join(sources)
            self._told.append(f"{self._yaml_path} names {named} for 'test', where no image is: there is no test split")
        elif sources and not images:
            raise LightdetError(f"{self._yaml_path}: no images in the '{name}' split; fill it or remove the key")
        return images

    def _count_unlisted(self, images: list[Listed]) -> None:
        """Images in the folders of those that lists name, and that no list names."""
        folders = {path.parent for path, said_by in images if said_by != self._yaml_path}
        used = {path for path, _ in images}
        for folder in sorted(folders):
            if folder.is_dir() and folders.isdisjoint(folder.parents):
                unlisted = [path for path in find_images(folder, self._root.left_out, BESIDE) if path not in used]
                self._root.left_out.extend("images that no list names", unlisted)

    def _find(self, source: str) -> Path:
        """Where a folder or list file is; it need not exist. Roboflow writes `../train/images` for what lies beside
        data.yaml."""
        beside = self._beside
        named = self._config.get("path")
        if isinstance(named, str) and named:
            base = Path(os.path.normpath(beside / named))
            if base.is_relative_to(self._root.path) and (base / source).exists():
                return self._root.locate(source, base, self._yaml_path)
        plain = source.replace("\\", "/")
        if plain.startswith("../"):
            literal = Path(os.path.normpath(beside / plain))
            if not literal.is_relative_to(self._root.path) or not literal.exists():
                return self._root.find(plain.removeprefix("../"), beside, self._yaml_path)
        return self._root.find(source, beside, self._yaml_path)

    def _listed(self, list_file: Path) -> list[Path]:
        def is_there(line: str) -> bool:
            return self._listed_image(line, list_file).exists()

        images = []
        for line in read_list(list_file, is_there, self._root.left_out):
            if self._root.hidden(line, list_file.parent):
                self._root.left_out.add(HIDDEN_NAMES, f"{list_file}: {line}")
            else:
                images.append(self._listed_image(line, list_file))
        return images

    def _listed_image(self, line: str, list_file: Path) -> Path:
        """Lines are relative to the list's own folder or, failing that, to the one of data.yaml; CVAT puts `data/` in
        front of what lies there."""
        first = self._root.find(line, list_file.parent, list_file)
        for base in (list_file.parent, self._beside):
            for name in (line, line.removeprefix("data/")):
                with suppress(LightdetError):  # of a place that the line does not mean
                    if (path := self._root.find(name, base, list_file)).exists():
                        return path
        return first

    def _label_path(self, image: Path) -> Path:
        """Beside the image, or where `labels` replaces the last `images` on the way from the dataset's folder."""
        if image not in self._label_of:
            self._label_of[image] = self._root.spelled(self._label_place(image))
        return self._label_of[image]

    def _label_place(self, image: Path) -> Path:
        parts = list(image.parts)
        above = len(self._root.path.parts) if image.is_relative_to(self._root.path) else 0
        for index in range(len(parts) - 2, above - 1, -1):
            if parts[index] == "images":
                parts[index] = "labels"
                break
        return Path(*parts).with_suffix(".txt")

    def _tell_of_labels(self, images: set[Path]) -> None:
        """Label files that belong to no image or to several, and images without one."""
        read = Counter(self._label_path(image) for image in images)
        bare = sorted(image for image in images if image.exists() and not self._label_path(image).exists())
        if bare:
            text = "count as images without objects" if len(bare) > 1 else "counts as one without objects"
            self._told.append(f"{_count(len(bare), 'image')} without a label file, such as {bare[0]}: {text}")
        lonely = self._lonely_labels(images, set(read))
        if lonely:
            text = "an image whose label file has another name counts as one without objects"
            self._told.append(f"{_count(len(lonely), 'label file')} without an image, such as {lonely[0]}: {text}")
        shared = sorted(path for path, times in read.items() if times > 1)
        if shared:
            text = (
                "images that differ in their suffix alone count as several, and may be both learnt from and measured on"
            )
            self._told.append(
                f"{_count(len(shared), 'label file')} of more than one image, such as {shared[0]}: {text}"
            )

    def _lonely_labels(self, images: set[Path], read: set[Path]) -> list[Path]:
        """Label files beside those that are read which belong to no image on disk."""
        pairs = {(self._label_path(image).parent, image.parent) for image in images}
        lonely: list[Path] = []
        for labels, beside in sorted(pairs):
            if labels == beside or not labels.is_dir():  # beside images, a text file may be anything
                continue
            stems = {_letters(path) for path in beside.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
            there = [path for path in labels.iterdir() if path.suffix.lower() == ".txt"]
            others = [path for path in there if path not in read and _letters(path) not in stems]
            hidden = [path for path in others if is_hidden(Path(path.name))]
            self._root.left_out.extend("label files with names that no person gave", hidden)
            lonely += sorted(path for path in others if path.stem != "classes" and path not in hidden)
        return lonely

    def _read_one(self, listed: Listed) -> Record:
        image, said_by = listed
        if not image.exists():
            raise LightdetError(f"{image}: no such image, but {said_by} names it; restore it or remove it from there")
        size = self._root.header(image)[:2]
        path = self._label_path(image)
        self._root.inside(path, image)  # a link is followed on the same terms as elsewhere
        rows = read_text(path).splitlines() if os.path.lexists(path) else []
        claims = [self._rows.claim(row, f"line {n}", path, size) for n, row in enumerate(rows, start=1) if row.strip()]
        return make_record(self._root, image, claims, path, size)


def _letters(path: Path) -> str:
    return normalize("NFC", path.stem)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
