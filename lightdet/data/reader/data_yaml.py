"""data.yaml of a YOLO dataset: reading it, the names of its classes, and what to write where there is none."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from lightdet.core import safe_yaml
from lightdet.core.errors import LightdetError
from lightdet.data.files import read_text
from lightdet.data.labels import checked_classes, class_number

# Where the images of a split usually are, by the folder of data.yaml.
USUAL = {
    "train": ("images/train", "train/images", "images/Train", "train.txt", "train", "obj_train_data", "images"),
    "val": ("images/val", "valid/images", "val/images", "images/Validation", "valid.txt", "val.txt", "valid", "val"),
}
NAME_FILES = ("obj.names", "classes.txt", "labels/classes.txt", "data/obj.names")
MOST_NAMES = 20  # that a message repeats


class _StrictLoader(yaml.SafeLoader):
    """YAML in which no key is repeated."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
        if repeated is not None:
            raise yaml.MarkedYAMLError(problem=f"the key {str(repeated)[:40]!r} occurs twice")
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises LightdetError for anything else, and for one that expands without end."""
    try:
        content = safe_yaml.load_yaml(path, loader=_StrictLoader)
    except OSError as error:
        raise LightdetError(f"{path}: cannot be read ({error.strerror or type(error).__name__})") from error
    if not isinstance(content, dict):
        raise LightdetError(f"{path}: not a mapping; a data.yaml has the keys names, train and val")
    return content


def class_names(config: dict[str, Any], path: Path) -> tuple[str, ...]:
    """`names` as a list, or as a mapping from 0..C-1, whose keys may be texts. Raises LightdetError."""
    names = config.get("names")
    if isinstance(names, dict):
        by_number = {class_number(str(key)): name for key, name in names.items()}
        if len(by_number) < len(names) or set(by_number) != set(range(len(names))):
            raise LightdetError(f"{path}: the keys of 'names' must be 0, 1, 2 ... without a gap")
        names = [by_number[label] for label in range(len(names))]
    if not isinstance(names, list):
        raise LightdetError(f"{path}: 'names' is missing or not a list; name the classes there")
    classes = checked_classes(names, f"{path}, 'names'")
    number = config.get("nc", len(classes))
    if class_number(str(number)) != len(classes):
        raise LightdetError(
            f"{path}: 'nc' is {str(number)[:40]} and contradicts the {len(classes)} 'names'; correct one of them"
        )
    return classes


def missing_yaml(path: Path) -> LightdetError:
    """The error for a data.yaml that is not there, with the three lines that it needs, as far as they can be seen."""
    found = {
        split: next(
            (name for name in usual if (path.parent / name).exists()), f"FOLDER OR LIST OF THE {split.upper()} IMAGES"
        )
        for split, usual in USUAL.items()
    }
    names = ""
    for file in NAME_FILES:
        if not names and (path.parent / file).is_file():
            lines = [line.strip() for line in read_text(path.parent / file).splitlines() if line.strip()]
            names = ", ".join(lines[:MOST_NAMES]) + ", ..." * (len(lines) > MOST_NAMES)
    val = found["val"] if (path.parent / found["val"]).exists() else ""
    three = (f"train: {found['train']}", f"val: {val}", f"names: [{names or 'CLASS, CLASS'}]")
    text = ", ".join(f"`{line.strip()}`" for line in three)
    return LightdetError(f"{path}: no such file; write its three lines, {text} (without val: split by val_share)")
