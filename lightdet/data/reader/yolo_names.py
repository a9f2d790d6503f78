"""YOLO text files without a data.yaml: the classes are the lines of a text file (Label Studio's `classes.txt`; CVAT's
and Darknet's `obj.names`, https://docs.cvat.ai/docs/dataset_management/formats/format-yolo)."""

from pathlib import Path
from typing import Any

from lightdet.data.files import read_text
from lightdet.data.labels import checked_classes
from lightdet.data.reader.yolo import Yolo


class YoloNames(Yolo):
    """`names` is a file with a class in each line; `train`, `val` and `test` are a folder or a list file each.

    Everything else is as with a data.yaml: `Yolo` describes it.
    """

    def __init__(
        self,
        root: str,
        names: str = "classes.txt",
        train: str = "images",
        val: str | None = None,
        test: str | None = None,
        val_share: float = 0.2,
        seed: int = 0,
        follow_links: bool = False,
    ) -> None:
        self._stated = {"train": train, "val": val, "test": test}
        super().__init__(root, names, val_share, seed, follow_links)

    def _load(self, data_yaml: str) -> tuple[Path, Path, dict[str, Any]]:
        path = self._root.file(data_yaml, self._root.path, "data.reader.names")
        lines = [line.strip() for line in read_text(path).rstrip().splitlines()]
        return Path("data.reader"), self._root.path, {"names": list(checked_classes(lines, path)), **self._stated}
