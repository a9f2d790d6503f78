"""Names of images in a new dataset: the ones they had, as far as no two images get the same."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from unicodedata import normalize

from lightdet.core.left_out import HIDDEN

UNSAFE = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')  # no part of a name on some system
LONGEST = 150  # characters of a stem; at most 4 bytes each, suffixes beside them


def new_names(image_ids: Iterable[str]) -> dict[str, str]:
    """A name for each image id, without a folder; no two are equal without their suffixes, whatever their case.

    An image keeps its name where that is its own. Where several folders have it, the folders become part of the name,
    and where two such names are equal, a hash of the id does.
    """
    wanted = {image_id: safe(PurePosixPath(image_id).name) for image_id in sorted(image_ids)}
    times = Counter(map(_key, wanted.values()))
    for image_id, name in wanted.items():
        if times[_key(name)] > 1:
            wanted[image_id] = safe(image_id.replace("/", "__"))
    times = Counter(map(_key, wanted.values()))
    taken = {_key(name) for name in wanted.values() if times[_key(name)] == 1}
    for image_id, name in wanted.items():
        if times[_key(name)] > 1:
            wanted[image_id] = _with_hash(image_id, name, taken)
            taken.add(_key(wanted[image_id]))
    return wanted


def _with_hash(image_id: str, name: str, taken: set[str]) -> str:
    digest = hashlib.blake2b(image_id.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    path = PurePosixPath(name)
    candidates = (f"{path.stem[:LONGEST]}-{digest[:length]}{path.suffix}" for length in range(8, len(digest) + 1))
    return next(candidate for candidate in candidates if _key(candidate) not in taken)


def safe(name: str) -> str:
    """A name that every system takes and no reader skips as one that no person gave."""
    path = PurePosixPath(UNSAFE.sub("_", name))
    stem = path.stem.strip()[-LONGEST:].strip().rstrip(".") or "_"
    stem = "_" + stem[1:] if stem.startswith((*HIDDEN, "#")) else stem
    return stem + path.suffix.strip()


def _key(name: str) -> str:
    return normalize("NFC", PurePosixPath(name).stem).casefold()
