"""Pascal VOC with a folder for each split, XML files beside the images, as Roboflow exports it
(https://roboflow.com/formats/pascal-voc-xml)."""

from collections.abc import Sequence
from pathlib import Path

from lightdet.core.left_out import LeftOut
from lightdet.data.labels import read_each
from lightdet.data.reader.voc import BESIDE, Voc
from lightdet.data.record import Record
from lightdet.data.search import find_images
from lightdet.data.split import split


class VocFolders(Voc):
    """The images in the folders `train`, `val` and `test`; without `val`, those of `train` are split by `val_share` and
    `seed`. XML files, classes and difficult objects are as `Voc` describes them."""

    def __init__(
        self,
        root: str,
        classes: Sequence[str] | None = None,
        train: str = "train",
        val: str | None = "valid",
        test: str | None = None,
        val_share: float = 0.2,
        seed: int = 0,
        keep_difficult: bool = True,
        follow_links: bool = False,
    ) -> None:
        super().__init__(
            root,
            classes,
            images=".",
            annotations=".",
            val_share=val_share,
            seed=seed,
            keep_difficult=keep_difficult,
            follow_links=follow_links,
        )
        named = {"train": train, "val": val, "test": test}
        self._folders = {
            name: self._folder(folder, f"data.reader.{name}") for name, folder in named.items() if folder is not None
        }

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every file that is missing, broken or contradictory."""
        self._root.left_out = LeftOut()
        images = {name: find_images(folder, self._root.left_out, BESIDE) for name, folder in self._folders.items()}
        self._count_lonely_labels([path for some in images.values() for path in some])
        listed = {name: [(self._name(path), self._folders[name]) for path in some] for name, some in images.items()}
        records = read_each(listed, self._read_one)
        if "val" not in records:
            train, val = split(records["train"], self._val_share, self._seed, len(self.classes))
            records = {**records, "train": train, "val": val}
        return records

    def _name(self, path: Path) -> str:
        return path.relative_to(self._images).with_suffix("").as_posix()
