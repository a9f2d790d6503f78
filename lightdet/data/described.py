"""From the images that an annotation tool describes to records: one way for all tools that name their images."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lightdet.core.errors import LightdetError
from lightdet.core.left_out import LeftOut, is_hidden
from lightdet.data.files import DataRoot
from lightdet.data.image import IMAGE_SUFFIXES, Header
from lightdet.data.labels import MOST_SIDE, Claim, checked_classes, make_record, read_each, unknown_class, wrong_size
from lightdet.data.record import Record
from lightdet.data.shapes import Shape
from lightdet.data.split import split

SPLIT_NAMES = {  # of subsets and folders, in lower case
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class Described(NamedTuple):
    """One image as a tool's file describes it."""

    name: str  # as the file states it
    places: tuple[str, ...]  # where the image may be, relative to the dataset's folder; the first that exists is taken
    said_by: Path
    place: str  # in that file: "images[3]"; "" where the file describes one image
    size: tuple[object, object]  # height, width as the file claims; None: it does not say
    shapes: Sequence[Shape]


def read_described(
    root: DataRoot,
    described: Mapping[str, Iterable[Described]],
    classes: Sequence[str],
    val_share: float,
    seed: int,
    known: Iterable[Described] | None = (),
) -> dict[str, list[Record]]:
    """Records by split; without "val", those of "train" are split by `val_share` and `seed`.

    `root.left_out` starts anew, and counts the images that lie beside those of the records. Raises a LightdetError
    about every image that is missing, of another size than claimed, or has an impossible box. `known`: images
    that are left out and told already; None: those beside are not counted, since the reader does.
    """
    root.left_out = LeftOut()

    def read_one(one: Described) -> Record:
        image = find_image(root, one)
        header = root.header(image)
        check_size(one, header)
        claims: list[Claim] = []
        crowd: list[Claim] = []
        for shape in one.shapes:
            place = f"{one.place}: {shape.place}" if one.place else shape.place
            if shape.name not in classes:
                raise unknown_class(shape.name, classes, place, one.said_by)
            claim = Claim(place, classes.index(shape.name), shape.box_xyxy)
            (crowd if shape.crowd else claims).append(claim)
        if crowd:
            root.left_out.add("regions of many objects, not learnt", one.said_by, len(crowd))
        return make_record(root, image, claims, one.said_by, header[:2], crowd)

    records = read_each(described, read_one)
    if known is not None:
        used = {record.path for some in records.values() for record in some}
        count_images_beside(root, used, _places_of(root, known))
    if "val" not in records:
        train, val = split(records["train"], val_share, seed, len(classes))
        records = {**records, "train": train, "val": val}
    return records


def find_image(root: DataRoot, one: Described) -> Path:
    """The first place of an image that exists. Raises LightdetError where none does."""
    where = f"{one.said_by}: {one.place}" if one.place else one.said_by
    refused: LightdetError | None = None
    for place in dict.fromkeys(one.places):
        try:
            path = root.find(place, root.path, where)
        except LightdetError as error:  # a path of the machine on which it was annotated
            refused = refused or error
            continue
        if path.is_file():
            return path  # a named pipe is none
    if refused is not None and len(one.places) == 1:
        raise refused
    tried = ", ".join(place for place in dict.fromkeys(one.places) if not place.startswith(("/", "..")))
    raise LightdetError(f"{where}: no such image: {one.name[:200]}; it was looked for at {tried}, below {root.path}")


def check_size(one: Described, header: Header) -> None:
    """Raises LightdetError where a file claims another size than its image has: its boxes would be those of another
    image."""
    height, width = (0 if side is None else side for side in one.size)
    where = f"{one.said_by}: {one.place}: {one.name}" if one.place else f"{one.said_by}: {one.name}"
    if not isinstance(height, int | float) or not isinstance(width, int | float):
        raise LightdetError(f"{where}: its height and width are no numbers: {str(one.size)[:60]}; correct them")
    if contradiction := wrong_size(min(height, MOST_SIDE), min(width, MOST_SIDE), header):
        raise LightdetError(f"{where}: {contradiction}")


def count_images_beside(root: DataRoot, used: Collection[Path], known: Collection[Path] = ()) -> None:
    """Counts the images beside those `used` in `root.left_out`: nothing describes them, since they were not annotated,
    or have another name than the file says. Those in `known` are told already."""
    for folder in sorted({path.parent for path in used}):
        for path in sorted(folder.iterdir()):
            is_image = path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(Path(path.name))
            if is_image and path not in used and path not in known:
                root.left_out.add("images that the annotations do not name", path)


def _places_of(root: DataRoot, described: Iterable[Described]) -> set[Path]:
    """Where the images are, as far as they are found."""
    found = set()
    for one in described:
        with suppress(LightdetError):
            found.add(find_image(root, one))
    return found


def by_split(subsets: Mapping[str, list[Described]], said_by: Path) -> dict[str, list[Described]]:
    """The images of subsets with any names under "train", "val" and "test".

    Where no name means a split, all of them are "train". Raises LightdetError for a name that means none beside others
    that do, and where nothing is left to train on.
    """
    known = {name: SPLIT_NAMES.get(name.lower()) for name in subsets}
    if not any(known.values()):
        return {"train": [one for images in subsets.values() for one in images]}
    divided: dict[str, list[Described]] = {}
    for name, images in subsets.items():
        if not images:
            continue
        if known[name] is None:
            names = ", ".join(sorted(subsets))
            raise LightdetError(f"{said_by}: subsets {names}: call each train, val or test, or none of them")
        divided.setdefault(known[name] or "", []).extend(images)
    if "train" not in divided:
        raise LightdetError(f"{said_by}: subsets {', '.join(sorted(subsets))}: none is for training; call one train")
    return divided


def classes_of(given: Sequence[str] | None, found: Counter[str], said_by: Path) -> tuple[str, ...]:
    """The classes in the order of their labels: `given`, or the names that were found, sorted."""
    if given is not None:
        return checked_classes(given, "data.reader.classes")
    if not found:
        raise LightdetError(f"{said_by}: no object has a class; set data.reader.classes=[...]")
    return checked_classes(sorted(found), said_by)


def found_line(given: Sequence[str] | None, found: Counter[str]) -> tuple[str, ...]:
    """A line about classes that were found rather than given."""
    if given is not None:
        return ()
    counts = ", ".join(f"{name} ({found[name]:,})" for name in sorted(found))
    return (f"no data.reader.classes given: taken are those found, in this order: {counts}",)
