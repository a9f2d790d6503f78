"""The layouts of datasets that `data=auto` recognises, each by names and the first bytes of a few files."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lightdet.data.described import SPLIT_NAMES
from lightdet.data.folder_view import FolderView
from lightdet.data.label_values import number
from lightdet.data.table_file import rows_of, separator_of

FEW = 3  # files of a kind that are opened in a folder
FILE_NAME = re.compile(r'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
LISTS = ("ImageSets/Main/{}.txt", "{}.txt")
Setting = str | Sequence[str] | None


class Guess(NamedTuple):
    """A layout that fits a folder."""

    what: str  # for people: the format, and the file that shows it
    option: str  # data=OPTION
    settings: Mapping[str, Setting]  # of data.reader, without root


def yolo(view: FolderView) -> Iterator[Guess]:
    """data.yaml: Ultralytics, Roboflow, CVAT's "Ultralytics YOLO"."""
    for name in view.files(".yaml", ".yml"):
        if all(re.search(rf"(?m)^['\"]?{key}['\"]?\s*:", view.text(name)) for key in ("names", "train")):
            yield Guess(f"YOLO text files ({name} names classes and images)", "yolo", {"data_yaml": name})


def yolo_names(view: FolderView) -> Iterator[Guess]:
    """YOLO text files without a data.yaml: CVAT's and Darknet's obj.data, Label Studio's classes.txt."""
    if any(yolo(view)):
        return
    for name in view.files(".data"):
        stated = dict(re.findall(r"(?m)^\s*(\w+)\s*=\s*(\S.*?)\s*$", view.text(name)))
        keys = {"names": "names", "train": "train", "val": "valid", "test": "test"}
        places = {key: _there(view, stated.get(key_there, "")) for key, key_there in keys.items()}
        if places["names"] and places["train"]:
            yield Guess(f"YOLO text files ({name} names classes and images)", "yolo_names", places)
            return
    folder = next((name for name in ("images", ".") if _has_labels(view, name)), None)
    if view.has("classes.txt") and folder:
        yield Guess("YOLO text files (classes in classes.txt)", "yolo_names", {"train": folder})


def _there(view: FolderView, name: str) -> str | None:
    """A name that exists, in front of which Darknet's files may have `data/`."""
    return next((each for each in (name, name.removeprefix("data/")) if each and view.has(each)), None)


def _has_labels(view: FolderView, images: str) -> bool:
    """Whether a folder has an image with a label file beside it, or in `labels`."""
    inner = view if images == "." else view.folders.get(images)
    labels = view.folders.get("labels") if images == "images" else None
    if inner is None:
        return False
    stems = {Path(name).stem for each in (inner, labels) if each for name in each.files(".txt")}
    return bool(stems & inner.images)


def coco(view: FolderView) -> Iterator[Guess]:
    """COCO JSON: one file for all, one per split in `annotations`, or one in the folder of each split."""
    for folder in ("", "annotations", "Annotations"):
        inner = view.folders.get(folder) if folder else view
        names = [name for name in inner.files(".json") if _is_coco(inner, name)] if inner else []
        names = [name for name in names if name.startswith("instances_")] or names
        paths = [f"{folder}/{name}".lstrip("/") for name in names]
        by_split = {_split_in(path): path for path in paths}
        if "train" in by_split and len(by_split) == len(paths) and None not in by_split:
            yield _coco_guess(view, {str(split): path for split, path in by_split.items()})
        else:  # each may be meant
            for path in paths:
                yield _coco_guess(view, {"train": path})
    in_folders = {
        split: f"{name}/{found[0]}"
        for name, inner, split in _split_folders(view)
        if len(found := [file for file in inner.files(".json")[:FEW] if _is_coco(inner, file)]) == 1
    }
    if "train" in in_folders:
        yield _coco_guess(view, in_folders)


def _coco_guess(view: FolderView, by_split: dict[str, str]) -> Guess:
    settings: dict[str, Setting] = {}
    for split in ("train", "val", "test"):
        path = by_split.get(split)
        settings[split] = path
        settings[f"{split}_images"] = _images_of(view, path) if path else None
    return Guess(f"COCO JSON ({', '.join(by_split.values())})", "coco", settings)


def _is_coco(view: FolderView, name: str) -> bool:
    boxes = view.contains(name, "image_id", "bbox")
    return view.contains(name, "images") and (boxes or view.contains(name, "categories"))


def _images_of(view: FolderView, path: str) -> str | None:
    """The folder that the file names in a JSON file start from; None: the one of the JSON file."""
    stated = FILE_NAME.search(view.text(path))
    name = str(json.loads(stated[1])).replace("\\", "/") if stated else ""
    stem, beside = Path(path).stem, Path(path).parent
    token = re.split(r"[^A-Za-z0-9]+", stem)[-1]  # instances_train2017, instances_default
    for folder in (beside, f"images/{token}", token, "images", f"images/{beside.name}", "JPEGImages", "."):
        if name and view.has(f"{folder}/{name}"):
            return None if folder == beside else str(folder)
    return None


def datumaro(view: FolderView) -> Iterator[Guess]:
    """Datumaro's `annotations/<subset>.json`."""
    inner = view.folders.get("annotations")
    names = (
        [name for name in inner.files(".json")[:FEW] if inner.contains(name, "items", "categories")] if inner else []
    )
    if names:
        yield Guess(f"Datumaro JSON (annotations/{names[0]})", "datumaro", {})


def label_studio(view: FolderView) -> Iterator[Guess]:
    """Label Studio's list of tasks, or of annotations (JSON-MIN)."""
    for name in view.files(".json"):
        is_list = view.text(name).lstrip().startswith("[")
        if is_list and (
            view.contains(name, "data", "annotations")
            or view.contains(name, "data", "completions")
            or view.contains(name, "annotation_id", "annotator")
        ):
            yield Guess(f"Label Studio JSON ({name})", "label_studio", {"json": name})


def labelme(view: FolderView) -> Iterator[Guess]:
    """LabelMe's JSON files beside images or in a folder of their own."""
    of_splits = {split: name for name, inner, split in _split_folders(view) if _has_labelme(inner)}
    if "train" in of_splits:
        settings: dict[str, Setting] = {split: of_splits.get(split) for split in ("train", "val", "test")}
        yield Guess(f"LabelMe JSON (in {', '.join(of_splits.values())})", "labelme", settings)
    elif _has_labelme(view) or any(map(_has_labelme, view.folders.values())):
        yield Guess("LabelMe JSON (a file for each image)", "labelme", {})


def _has_labelme(view: FolderView) -> bool:
    return any(view.contains(name, "shapes", "imagePath") for name in view.files(".json")[:FEW])


def cvat(view: FolderView) -> Iterator[Guess]:
    """CVAT for images: one XML file."""
    for name in view.files(".xml")[:FEW]:
        if re.search(r"<annotations[\s>]", view.text(name)):
            yield Guess(f"CVAT XML ({name})", "cvat", {"xml": name})


def voc(view: FolderView) -> Iterator[Guess]:
    """Pascal VOC: XML files beside the images, or in a folder beside theirs."""
    lists: dict[str, Setting] = {}
    pattern = next((pattern for pattern in LISTS if view.has(pattern.format("train"))), None)
    if pattern:
        lists = {f"{split}_list": pattern.format(split) for split in ("train", "val", "test")}
    for annotations, inner in {".": view, **view.folders}.items():
        first = next((name for name in inner.files(".xml")[:FEW] if _is_voc(inner, name)), None)
        if first is None or SPLIT_NAMES.get(annotations.lower()):
            continue
        stem = Path(first).stem
        beside = {annotations: inner, ".": view, **view.folders}
        images = next((name for name, other in beside.items() if stem in other.images), None)
        if images is not None:
            where = "beside the images" if images == annotations else f"in {annotations}"
            settings = {"images": images, "annotations": annotations, **lists}
            yield Guess(f"Pascal VOC (XML files {where})", "voc", settings)


def voc_folders(view: FolderView) -> Iterator[Guess]:
    """Pascal VOC with XML files beside the images, in a folder for each split: Roboflow."""
    found: dict[str, Setting] = {
        split: name
        for name, inner, split in _split_folders(view)
        if any(_is_voc(inner, file) and Path(file).stem in inner.images for file in inner.files(".xml")[:FEW])
    }
    if "train" in found:
        folders = {split: found.get(split) for split in ("train", "val", "test")}
        yield Guess(
            f"Pascal VOC (a folder for each split: {', '.join(map(str, found.values()))})", "voc_folders", folders
        )


def _is_voc(view: FolderView, name: str) -> bool:
    return re.search(r"<annotation[\s>]", view.text(name)) is not None


def deep_pcb(view: FolderView) -> Iterator[Guess]:
    """DeepPCB as it is published."""
    if view.has("PCBData/trainval.txt"):
        yield Guess("DeepPCB (PCBData/trainval.txt)", "deep_pcb", {})


def label_table(view: FolderView) -> Iterator[Guess]:
    """A lone labels.csv whose lines are an image and its label; ELPV's, which has the kind of the cell, too."""
    if view.files(".csv") != ["labels.csv"]:
        return
    text = view.text("labels.csv")
    try:
        rows = list(islice(rows_of(text, separator_of(text) or ","), 2))  # the first may be a header
    except csv.Error:
        return
    cells = rows[-1].cells if rows else ()
    if len(cells) == 3 and cells[2] in ("mono", "poly") and number(cells[1]) is not None and view.has(cells[0]):
        yield Guess("ELPV (labels.csv)", "elpv", {})
    folder = next((name for name in (".", "images") if cells and view.has(f"{name}/{cells[0]}")), None)
    if len(cells) == 2 and folder:
        yield Guess("a table of labels (labels.csv)", "csv", {"images": folder})


def _split_folders(view: FolderView) -> Iterator[tuple[str, FolderView, str]]:
    """The folders inside that are named as splits, each split once."""
    seen: set[str] = set()
    for name, inner in view.folders.items():
        split = SPLIT_NAMES.get(name.lower())
        if split and split not in seen:
            seen.add(split)
            yield name, inner, split


def _split_in(path: str) -> str | None:
    """The split that a file name means: `instances_train2017.json`."""
    words = [re.sub(r"\d+$", "", word) for word in re.split(r"[^a-z0-9]+", Path(path).stem.lower())]
    found = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else None


LAYOUTS = {  # what is looked for -> by what
    "a YAML file with names and train (YOLO)": yolo,
    "obj.data, or classes.txt beside images and labels (YOLO)": yolo_names,
    "a JSON file with images and annotations (COCO)": coco,
    "annotations/*.json with items (Datumaro)": datumaro,
    "a JSON list of tasks (Label Studio)": label_studio,
    "JSON files with shapes (LabelMe)": labelme,
    "an XML file with <annotations> (CVAT)": cvat,
    "XML files with <annotation> and images of their names (Pascal VOC)": voc,
    "train/ and valid/ with XML files beside the images (Pascal VOC of Roboflow)": voc_folders,
    "PCBData/trainval.txt (DeepPCB)": deep_pcb,
    "labels.csv with lines of an image and its label": label_table,
}
