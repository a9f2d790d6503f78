"""Images of one class in a folder of its name: `scratch/a.png`, or `train/scratch/a.png` beside `val/` and `test/`."""

from collections.abc import Sequence
from pathlib import Path

from lightdet.core.annotation import ClassLabel
from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut, is_hidden
from lightdet.data.files import DataRoot
from lightdet.data.image import IMAGE_SUFFIXES, original_size
from lightdet.data.labels import checked_classes, read_each
from lightdet.data.record import Record
from lightdet.data.split import split

NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test",)}


class Folder:
    """The class of an image is the folder in which it lies, or a folder around that one.

    Where `root` has folders `train` and, if there are, `val` (or `valid`, `validation`) and `test`, each has a folder
    per class; otherwise `root` has, and the images are split by `val_share` and `seed`, as those of `train` are where
    there is no `val`. `classes`: names in the order of their labels; None: those of the folders, sorted.
    Raises LightdetError for folders that give no classes, and for a split without `train`.
    """

    def __init__(
        self,
        root: str,
        classes: Sequence[str] | None = None,
        val_share: float = 0.2,
        seed: int = 0,
        follow_links: bool = False,
    ) -> None:
        self._root = DataRoot(root, follow_links)
        self._val_share = val_share
        self._seed = seed
        self.doubts: tuple[str, ...] = ()
        self._places = self._splits()
        found = sorted({path.name for place in self._places.values() for path in _folders(place)})
        if not found:
            raise LightdetError(f"{self._root.path}: no folder of a class there; data=folder wants CLASS/image.png")
        self.classes = checked_classes(found if classes is None else classes, "data.reader.classes")
        unknown = next((name for name in found if name not in self.classes), None)
        if unknown is not None:
            raise LightdetError(
                f"{self._root.path}: the folder {unknown!r} is none of data.reader.classes; name it there or remove it"
            )

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every image that cannot be read, and for a split without any."""
        left_out = LeftOut()
        listed = {name: self._images(place, left_out) for name, place in self._places.items()}
        for name, images in listed.items():
            if not images:
                raise LightdetError(f"{self._places[name]}: no image in the folders of the classes")
        self.doubts = left_out.lines()
        records = read_each(listed, self._read_one)
        if "val" not in records:
            train, val = split(records["train"], self._val_share, self._seed, len(self.classes))
            records = {**records, "train": train, "val": val}
        return records

    def _splits(self) -> dict[str, Path]:
        found = {
            name: place
            for name, names in NAMES.items()
            for place in (self._root.path / each for each in names)
            if place.is_dir()
        }
        if found and "train" not in found:
            raise LightdetError(
                f"{next(iter(found.values()))}: a folder of a split without a folder train beside it; name that of the "
                "training images train, or rename this one if it is a class"
            )
        return found or {"train": self._root.path}

    def _images(self, place: Path, left_out: LeftOut) -> list[tuple[Path, int]]:
        images = []
        for path in sorted(place.rglob("*")):
            inside = path.relative_to(place)
            if path.is_dir():
                continue
            if is_hidden(inside):
                left_out.add("hidden files and those in hidden folders", path)
            elif path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
                left_out.add("files that are no images", path)
            elif len(inside.parts) < 2:
                left_out.add("images that lie in no class's folder", path)
            else:
                images.append((path, self.classes.index(inside.parts[0])))
        return images

    def _read_one(self, item: tuple[Path, int]) -> Record:
        path, label = item
        image = self._root.file(path.name, path.parent, path.parent)
        original_size(image)
        return Record(self._root.image_id(image), image, ClassLabel(label))


def _folders(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir() and not is_hidden(Path(path.name))]
