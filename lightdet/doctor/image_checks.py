"""The checks of the images themselves: what decoding each of them once shows."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lightdet.core.errors import LightdetError
from lightdet.core.shown import counted
from lightdet.data.image import read_header, read_values, to_eight_bits
from lightdet.data.record import Record, Splits
from lightdet.doctor.findings import Finding, ImageFacts, some_of
from lightdet.doctor.near import COMPARED, TURNS, NearCopy, hash_of, near_copies

UNEQUAL = 4.0  # the longer side of one image, in those of another: their objects then differ as much in the input

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2",),
}


def look_at_images(splits: Splits) -> dict[Path, ImageFacts]:
    """Decode every image once."""
    bits = {record.path: record.bits for records in splits.values() for record in records}
    with ThreadPoolExecutor() as pool:
        return dict(zip(bits, pool.map(_look_at, bits.keys(), bits.values()), strict=True))


def _look_at(path: Path, bits: int | None) -> ImageFacts:
    try:
        header = read_header(path)
        values = read_values(path)
    except LightdetError as error:
        return ImageFacts(0, 0, b"", False, " ".join(str(error).split()))
    pixels = to_eight_bits(values, bits)
    height, width = pixels.shape[:2]
    digest = hashlib.blake2b(pixels.data, digest_size=16, key=f"{height} {width}".encode()).digest()
    blank = (
        not (pixels[: height // 8 + 1] != pixels[0, 0]).any() and not (pixels != pixels[0, 0]).any()
    )  # few pass the first
    brightest = None if values.dtype == np.uint8 else int(values.max())
    return ImageFacts(
        height,
        width,
        digest,
        blank,
        orientation=header.orientation,
        format=header.format,
        look=hash_of(pixels),
        brightest=brightest,
    )


def check_images(splits: Splits, facts: Mapping[Path, ImageFacts]) -> list[Finding]:
    """Images that cannot be read, that show nothing, or that show exactly the same as another."""
    found = []
    blank, groups = [], dict[bytes, dict[str, str]]()
    for split, records in splits.items():
        for record in records:
            fact = facts[record.path]
            if fact.problem:
                found.append(Finding("error", "unreadable image", fact.problem, (record.image_id,)))
                continue
            groups.setdefault(fact.digest, {}).setdefault(record.image_id, split)
            if fact.blank:
                blank.append(record.image_id)
    if blank:
        text = f"{counted(len(blank), 'image')} of one colour throughout ({some_of(blank)})"
        found.append(Finding("warning", "blank image", text, tuple(blank)))
    copies = [group for group in groups.values() if len(group) > 1]
    leaks = [group for group in copies if len(set(group.values())) > 1]
    inside = [group for group in copies if len(set(group.values())) == 1]
    for some, topic, text in (
        (leaks, "leak", "shown in two splits: what is measured there was trained on"),
        (inside, "duplicate images", "stored more than once in a split"),
    ):
        if some:
            example = " = ".join(some[0])
            images = tuple(image for group in some for image in group)
            found.append(Finding("warning", topic, f"{counted(len(some), 'picture')} {text} ({example})", images))
    return found


def find_near_copies(splits: Splits, facts: Mapping[Path, ImageFacts]) -> tuple[list[NearCopy], int]:
    """`near_copies` of the images that show anything."""
    looks = {path: (fact.digest, fact.look) for path, fact in facts.items() if not fact.problem and not fact.blank}
    return near_copies(splits, looks)


def check_near_copies(near: list[NearCopy], not_compared: int) -> list[Finding]:
    """Images of two splits that show nearly the same. `not_compared`: similar pairs beyond the limit."""
    found = []
    if near:
        images = tuple(one.image_id for pair in near for one in (pair.first, pair.second))
        text = f"{counted(len(near), 'pair')} of images in two splits show the same: what is measured there was "
        examples = "; ".join(map(_told, near[:3]))
        found.append(Finding("warning", "near copy", f"{text}trained on. {examples}", images))
    if not_compared:
        text = f"{not_compared:,} more pairs of similar images, beyond the {COMPARED:,} most similar, were not compared"
        found.append(Finding("warning", "near copy", f"{text}: are these images of one scene?"))
    return found


def _told(pair: NearCopy) -> str:
    how = f", {TURNS[pair.turn]}" if pair.turn else ""
    places = f"{pair.first.image_id} in '{pair.splits[0]}', {pair.second.image_id} in '{pair.splits[1]}'"
    return f"{places} ({pair.bits} of 63 bits differ{how})"


def turned_images(splits: Splits, facts: Mapping[Path, ImageFacts]) -> list[Record]:
    """The records whose image file says by its EXIF orientation that its pixels are to be turned or mirrored."""
    return [record for records in splits.values() for record in records if facts[record.path].orientation != 1]


def check_orientation(turned: list[Record]) -> list[Finding]:
    """Images that are stored turned: whether boxes were drawn before or after is nowhere stated."""
    if not turned:
        return []
    names = tuple(record.image_id for record in turned)
    text = (
        f"{counted(len(turned), 'image')} stored turned, with an EXIF orientation: boxes count in the image as it is "
        f"shown. The picture of this report has one; where its boxes lie wrong, they were drawn before the turn "
        f"({some_of(names)})"
    )
    return [Finding("warning", "EXIF orientation", text, names)]


def usual_suffixes(fact: ImageFacts) -> tuple[str, ...]:
    """Those of files with this content, the most usual first; () for a content without a usual one."""
    return SUFFIXES.get(fact.format, ())


def check_suffixes(splits: Splits, facts: Mapping[Path, ImageFacts]) -> list[Finding]:
    """Images whose suffix is that of another format: lightdet reads them by their content, other programs may not."""
    wrong = {
        record.image_id: facts[record.path].format
        for records in splits.values()
        for record in records
        if (usual := usual_suffixes(facts[record.path])) and record.path.suffix.lower() not in usual
    }
    if not wrong:
        return []
    name, content = next(iter(wrong.items()))
    text = f"{counted(len(wrong), 'image')} with an unusual suffix, e.g. {name} is a {content}: other programs may not "
    return [Finding("note", "suffix", f"{text}read them ({some_of(list(wrong))})", tuple(wrong))]


def check_image_sizes(splits: Splits, facts: Mapping[Path, ImageFacts]) -> list[Finding]:
    """Images of very different sizes: one input size then shows their objects at very different scales."""
    sides = {
        record.image_id: (max(fact.height, fact.width), f"{fact.width} x {fact.height}")
        for records in splits.values()
        for record in records
        if not (fact := facts[record.path]).problem
    }
    if not sides:
        return []
    (small, smallest), (large, largest) = (choose(sides.items(), key=lambda one: one[1]) for choose in (min, max))
    if largest[0] <= UNEQUAL * smallest[0]:
        return []
    text = (
        f"from {smallest[1]} px ({small}) to {largest[1]} px ({large}): the network sees both at one size, so the same "
        f"object is {largest[0] / smallest[0]:.0f} times smaller in the larger image"
    )
    return [Finding("note", "image sizes", text, (small, large))]
