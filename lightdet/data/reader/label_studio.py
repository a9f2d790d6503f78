"""Label Studio's JSON and JSON-MIN (https://labelstud.io/guide/export, https://labelstud.io/guide/task_format,
https://labelstud.io/tags/rectanglelabels)."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut
from lightdet.data.described import Described, classes_of, found_line, read_described
from lightdet.data.files import DataRoot
from lightdet.data.image import IMAGE_SUFFIXES
from lightdet.data.json_file import load_json
from lightdet.data.label_studio_region import region_shape
from lightdet.data.record import Record

SEVERAL = ("refuse", "latest")
UPLOAD_PREFIX = 8  # hexadecimal digits that an uploaded file gets in front of its name, with a "-"
BULKY = frozenset({"rle"})  # the pixels of a brush


class LabelStudio:
    """The tasks of one exported file (`json`; None: the only JSON file in `root`), full or JSON-MIN.

    Rectangles, also turned ones, ellipses and polygons become the boxes around them; other regions are left out, and so
    are tasks without an annotation, cancelled annotations and predictions of models. An annotation without regions is
    an image without defects. Where a task has several annotations, the one marked as ground truth counts; without such
    a mark `several` "refuse" refuses the task and "latest" takes the one that was changed last. Without `classes` all
    labels that occur are taken, sorted by name. The export does not hold the images: they are looked for in the folder
    `images` and in `root`, under the path that the task states and its parts, with and without the prefix of an upload.
    All images are split by `val_share` and `seed`.
    """

    def __init__(
        self,
        root: str,
        json: str | None = None,
        images: str = "images",
        image_key: str | None = None,
        classes: Sequence[str] | None = None,
        several: str = "refuse",
        val_share: float = 0.2,
        seed: int = 0,
        follow_links: bool = False,
    ) -> None:
        if several not in SEVERAL:
            raise LightdetError(f"data.reader.several={several}: one of {', '.join(SEVERAL)}")
        self._root = DataRoot(root, follow_links)
        self._json = self._root.file(json or self._only_json(), self._root.path, "data.reader.json")
        self._images, self._image_key, self._several = images, image_key, several
        self._val_share, self._seed = val_share, seed
        self._left_out = LeftOut()
        self._known: list[Described] = []  # images of tasks that are left out
        tasks = load_json(self._json, BULKY)
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise LightdetError(f"{self._json}: not a list of tasks; export the project as JSON or JSON-MIN")
        described = [self._of_task(task, f"tasks[{index}]") for index, task in enumerate(tasks)]
        self._described = {"train": [one for one in described if one is not None]}
        if not self._described["train"]:
            raise LightdetError(f"{self._json}: no task has an annotation; annotate some and export again")
        found = Counter(shape.name for one in self._described["train"] for shape in one.shapes)
        self.classes = classes_of(classes, found, self._json)
        self._told = (*found_line(classes, found), *self._left_out.lines())

    @property
    def doubts(self) -> tuple[str, ...]:
        """What the files hold that is not used, and after `read` what it left out."""
        return (*self._told, *self._root.left_out.lines())

    def read(self) -> dict[str, list[Record]]:
        """Records by split. Raises LightdetError about every image that is missing or does not fit its boxes."""
        return read_described(self._root, self._described, self.classes, self._val_share, self._seed, self._known)

    def _only_json(self) -> str:
        names = sorted(path.name for path in self._root.path.glob("*.json"))
        if len(names) != 1:
            found = ", ".join(names[:5]) or "none"
            raise LightdetError(f"{self._root.path}: one JSON file is expected ({found}); set data.reader.json=FILE")
        return names[0]

    def _of_task(self, task: dict[str, Any], place: str) -> Described | None:
        where = f"{self._json}: {place}"
        if "data" in task:
            holder, regions = task["data"], self._regions(task, where)
        else:  # JSON-MIN: an annotation each, its regions under the names of the labelling configuration
            lists = [value for value in task.values() if isinstance(value, list)]
            holder, regions = task, [part for value in lists for part in value if isinstance(part, dict)]
        name = self._image_of(holder, where)
        if regions is None:
            self._known.append(Described(name, self._places(name), self._json, place, (None, None), ()))
            return None
        with_label = [part for part in regions if isinstance(part, dict) and _is_labelled(part)]
        labelled = [part["id"] for part in with_label if part.get("id") is not None]  # no set: a list may stand there
        sizes: list[tuple[object, object]] = []
        shapes = []
        for index, part in enumerate(regions):
            region = f"{where}: region {index + 1}"
            if not isinstance(part, dict):
                raise LightdetError(f"{region}: not an object; export it again")
            shape = region_shape(part, f"region {index + 1}", where, labelled, self._left_out)
            if shape is not None:
                shapes.append(shape)
                sizes.append((part.get("original_height"), part.get("original_width")))
        if any(size != sizes[0] for size in sizes):
            raise LightdetError(f"{where}: its regions were drawn on images of different sizes; annotate it again")
        size = sizes[0] if sizes else (None, None)
        return Described(name, self._places(name), self._json, place, size, shapes)

    def _regions(self, task: dict[str, Any], where: str) -> list[Any] | None:
        """The regions of the annotation of a task that counts; None for a task without one."""
        annotations = task.get("annotations", task.get("completions"))  # the second: before version 1.0
        if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
            raise LightdetError(f"{where}: 'annotations' is missing or not a list of objects; export it again")
        valid = [one for one in annotations if not one.get("was_cancelled")]
        if len(valid) < len(annotations):
            self._left_out.add("cancelled annotations", where, len(annotations) - len(valid))
        if not valid:
            kind = "with predictions alone" if task.get("predictions") else "without an annotation"
            self._left_out.add(f"tasks {kind}", where)
            return None
        true = [one for one in valid if one.get("ground_truth")]
        if len(true or valid) > 1:
            if self._several == "refuse":
                raise LightdetError(
                    f"{where}: {len(valid)} annotations of one image; mark one as ground truth and export again, or "
                    "take the latest with data.reader.several=latest"
                )
            chosen = max(true or valid, key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""))
        else:
            (chosen,) = true or valid
        if len(valid) > 1:
            self._left_out.add("annotations beside the one of their task that counts", where, len(valid) - 1)
        regions = chosen.get("result")
        if not isinstance(regions, list):
            raise LightdetError(f"{where}: 'result' is missing or not a list; export it again")
        return regions

    def _image_of(self, holder: object, where: str) -> str:
        """The path of a task's image, as the task states it."""
        data = holder if isinstance(holder, dict) else {}
        if self._image_key is not None:
            name = data.get(self._image_key)
            if isinstance(name, str) and name:
                return name
            raise LightdetError(f"{where}: no text under {self._image_key!r}, which data.reader.image_key names")
        texts = {key: value for key, value in data.items() if isinstance(value, str)}
        images = [key for key, text in texts.items() if PurePosixPath(_path_of(text)).suffix.lower() in IMAGE_SUFFIXES]
        if len(images) != 1:
            some = ", ".join(images or data) or "nothing"
            raise LightdetError(f"{where}: which of {some[:200]} is the image? name it with data.reader.image_key=KEY")
        return texts[images[0]]

    def _places(self, name: str) -> tuple[str, ...]:
        path = PurePosixPath(_path_of(name).replace("\\", "/"))
        parts = [part for part in path.parts if part not in ("/", "..", ".")]
        ends = ["/".join(parts[index:]) for index in range(len(parts))]
        prefix, dash, rest = parts[-1].partition("-") if parts else ("", "", "")
        if dash and rest and len(prefix) == UPLOAD_PREFIX and all(sign in "0123456789abcdef" for sign in prefix):
            ends.append(rest)
        return tuple(f"{folder}/{end}" for end in ends for folder in (self._images, "."))


def _path_of(name: str) -> str:
    """The path in a task's address: a file's, an upload's, that of a local file (`?d=`), or one in the web."""
    address = urlsplit(name)
    if local := parse_qs(address.query).get("d"):
        return local[0]
    if not address.scheme and not name.startswith("/data/"):
        return name
    return unquote(address.path)


def _is_labelled(region: dict[str, Any]) -> bool:
    value = region.get("value", region)
    return isinstance(value, dict) and any(key.endswith("labels") for key in value)
