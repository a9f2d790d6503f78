"""Vectors of training images on disk, so that they are computed once for a checkpoint.

A file in the cache folder, which can be deleted at any time. Its name is a hash of what decides its content; it holds
arrays of numbers alone (safetensors), and one that is damaged is computed again.
"""

import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lightdet.core.cache_folder import cache_folder
from lightdet.core.errors import LightdetError
from lightdet.core.files import write_bytes
from lightdet.core.reading import read_regular
from lightdet.core.shown import shown
from lightdet.explain.nearest import Item

SCHEMA = 2  # of the file and of what the vectors mean
FOLDER = "embeddings"
MOST_BYTES = 2**30  # 20,000 vectors of 10,000 numbers are less
DAMAGED = (OSError, ValueError, TypeError, KeyError, LightdetError, SafetensorError)
Arrays = dict[str, np.ndarray]  # used (M,) int64: indices of items; vectors (M, D) and usual (R, K) float32


def cache_file(weights: Path, items: Sequence[Item], settings: object) -> Path:
    """Where the vectors of these items under these weights are kept.

    Every other checkpoint, list of images, image (by its size and time), box or setting has a file of its own.
    """
    with open(weights, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(f"{SCHEMA} {settings!r}".encode())
    for item in items:
        try:
            stat = item.record.path.stat()
            state = f"{stat.st_size} {stat.st_mtime_ns}"
        except OSError:
            state = "-"
        digest.update(
            f"{item.record.image_id}\0{item.record.path}\0{state}\0{item.box_xyxy}\n".encode(errors="replace")
        )
    return cache_folder() / FOLDER / f"{digest.hexdigest()[:40]}.safetensors"


def cached(path: Path, count: int, width: int, compute: Callable[[], Arrays]) -> Arrays:
    """The arrays for `count` items from the file, or computed and written there; `width`: of the model's vectors.
    A line on stderr tells of a damaged file, and of a folder in which nothing can be written."""
    try:
        return _read(path, count, width)
    except FileNotFoundError:
        pass
    except DAMAGED as error:
        _tell(f"{path}: damaged ({type(error).__name__}); the training images are embedded again")
    arrays = compute()
    try:
        write_bytes(path, save(arrays))
    except OSError as error:
        _tell(f"{path}: not kept for the next time ({error.strerror}); set LIGHTDET_CACHE to a folder of yours")
    return arrays


def _read(path: Path, count: int, width: int) -> Arrays:
    """Raises one of `DAMAGED` for a file that is not as `cached` writes it."""
    file = load(read_regular(path, MOST_BYTES))  # refuses a header that promises more than the file holds
    arrays = {name: file[name] for name in ("used", "vectors", "usual")}
    used, vectors, usual = arrays.values()
    if used.dtype != np.int64 or vectors.dtype != np.float32 or usual.dtype != np.float32:
        raise ValueError("other types")
    if used.ndim != 1 or vectors.ndim != 2 or usual.ndim != 2 or len(used) != len(vectors):
        raise ValueError("other shapes")
    if len(used) and vectors.shape[1] != width:
        raise ValueError("vectors of another model")
    if len(used) and not (used.min() >= 0 and used.max() < count):
        raise ValueError("indices of other items")
    if not (np.isfinite(vectors).all() and np.isfinite(usual).all()):
        raise ValueError("values that are not finite")
    return arrays


def _tell(line: str) -> None:
    print(f"lightdet: {shown(line)}", file=sys.stderr)
