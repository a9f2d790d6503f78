"""The embedded data set: drawn by lightdet.data.synthesis, written once to a cache folder, then read as usual."""

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lightdet.core.annotation import Boxes
from lightdet.core.cache_folder import cache_folder
from lightdet.core.errors import LightdetError, demand_whole
from lightdet.data.record import Record
from lightdet.data.synthesis.scene import CLASSES, compose

LOG = logging.getLogger(__name__)
GENERATOR_VERSION = 3  # raise it whenever an image or a label of the same seed changes
VAL_START = 1_000_000  # number of the first validation image: it does not move when train_images grows
LABELS_FILE = "labels.json"  # written last
ABANDONED_SECONDS = 6 * 3600  # an unfinished folder unchanged for that long has no living writer
SMALLEST_SIZE, LARGEST_SIZE = 96, 1024  # px


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the labels file."""

    file: str
    boxes_xyxy: list[list[float]]
    labels: list[int]


class Synthetic:
    """Grey product images with the six defect classes of `CLASSES`; about 12 % of them show a good part.

    The images are a pure function of (seed, size, number). They lie in `<cache>/synthetic-<hash of the parameters>`;
    `cache` None or "" means `lightdet.core.cache_folder`. The folder is written under another name and then renamed, so
    that it is either complete or absent, also when a process is killed and when several draw it at once.
    """

    classes: tuple[str, ...] = CLASSES

    def __init__(
        self, train_images: int = 360, val_images: int = 120, size: int = 160, seed: int = 0, cache: str | None = None
    ) -> None:
        """`size` is the side of the images, px. Raises LightdetError for a value out of range."""
        demand_whole("data.reader.train_images", train_images, 1, VAL_START)
        demand_whole("data.reader.val_images", val_images, 1, VAL_START)
        demand_whole("data.reader.size", size, SMALLEST_SIZE, LARGEST_SIZE)
        demand_whole("data.reader.seed", seed, 0, 2**63 - 1)
        self.counts = {"train": train_images, "val": val_images}
        self.size, self.seed = size, seed
        place = Path(cache).expanduser() if cache else cache_folder()
        self.folder = place.absolute() / f"synthetic-{self._fingerprint()}"

    def read(self) -> dict[str, list[Record]]:
        """Records under "train" and "val"; draws the images first if they are not in the cache.

        Raises LightdetError when the cache folder cannot be written.
        """
        entries = self._read_labels()
        if entries is None:
            try:
                self._write()
            except OSError as error:
                raise LightdetError(self._refusal(error)) from error
            entries = self._read_labels()
        if entries is None:
            raise LightdetError(
                f"{self.folder}: the synthetic images changed while being read; delete it and try again"
            )
        return {split: [self._record(entry) for entry in listed] for split, listed in entries.items()}

    def _fingerprint(self) -> str:
        facts = json.dumps(self._facts(), sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:12]

    def _facts(self) -> dict[str, Any]:
        return {"generator": GENERATOR_VERSION, "size": self.size, "seed": self.seed, **self.counts}

    def _record(self, entry: _Entry) -> Record:
        return Record(
            entry.file,
            self.folder / entry.file,
            Boxes(
                np.asarray(entry.boxes_xyxy, dtype=np.float32).reshape(-1, 4),
                np.asarray(entry.labels, dtype=np.int64),
            ),
        )

    def _read_labels(self) -> dict[str, list[_Entry]] | None:
        """The content of the cache; None when it is absent or damaged."""
        try:
            content = json.loads((self.folder / LABELS_FILE).read_text(encoding="utf-8"))
            entries = {split: [_Entry(**line) for line in content[split]] for split in self.counts}
            whole = all(len(entries[split]) == count for split, count in self.counts.items())
            files = [self.folder / entry.file for listed in entries.values() for entry in listed]
            return entries if whole and all(file.stat().st_size > 0 for file in files) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self) -> None:
        """Draws all images into a temporary folder, then renames it."""
        parent = self.folder.parent
        LOG.info("drawing %d synthetic images into %s", sum(self.counts.values()), self.folder)
        parent.mkdir(parents=True, exist_ok=True)
        _sweep_abandoned(parent)
        draft = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.draft-", dir=parent))
        try:
            content: dict[str, Any] = {"parameters": self._facts(), "classes": self.classes}
            for split, start in (("train", 0), ("val", VAL_START)):
                (draft / split).mkdir()
                content[split] = [self._draw(draft, split, start, number) for number in range(self.counts[split])]
            (draft / LABELS_FILE).write_text(json.dumps(content), encoding="utf-8")
            draft.chmod(0o755)
            self._publish(draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _draw(self, draft: Path, split: str, start: int, number: int) -> dict[str, Any]:
        drawn = compose(self.seed, start + number, self.size)
        file = f"{split}/{number:05d}.png"
        (draft / file).write_bytes(cv2.imencode(".png", drawn.image)[1].tobytes())
        return {"file": file, "boxes_xyxy": drawn.boxes_xyxy.tolist(), "labels": drawn.labels.tolist()}

    def _publish(self, draft: Path) -> None:
        """Renames the temporary folder; a damaged folder of that name is removed first."""
        for _ in range(3):
            try:
                draft.rename(self.folder)
                return
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES) or not self.folder.exists():
                    raise
            if self._read_labels() is not None:  # another process was faster
                return
            damaged = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.draft-", dir=self.folder.parent))
            try:
                os.replace(self.folder, damaged / "damaged")
            except FileNotFoundError:  # another process has cleared it away
                continue
            finally:
                shutil.rmtree(damaged, ignore_errors=True)

    def _refusal(self, error: OSError) -> str:
        reason = error.strerror or str(error)
        return (
            f"{self.folder.parent}: cannot write the synthetic images there ({reason}); "
            "free some space, or set LIGHTDET_CACHE (or data.reader.cache=...) to a folder that can be written"
        )


def _sweep_abandoned(parent: Path) -> None:
    """Removes unfinished folders of processes that were killed long ago."""
    for draft in parent.glob("synthetic-*.draft-*"):
        try:
            if time.time() - draft.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(draft, ignore_errors=True)
        except OSError:
            continue
