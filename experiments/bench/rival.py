"""A rival trainer in a process and an environment of its own, called an epoch at a time."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightdet.allocator import VARIABLE
from lightdet.data.image import photo_size
from lightdet.data.record import Record

DRIVER = Path(__file__).resolve().parent / "rival_driver.py"


class Rival:
    """A subprocess of `python` that trains `model`; `facts` is what it last said about itself.

    Its memory allocator is as the system has it: our settings of it are part of our side.
    """

    def __init__(self, python: Path, model: str, threads: int, settings: dict[str, Any], home: Path) -> None:
        asked = json.dumps({"model": model, "threads": threads, "train": settings})
        quiet = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(home)}
        inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
        environment = inherited | quiet | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        self.log = home / "rival.log"
        self._process = subprocess.Popen(
            [python, "-u", DRIVER, asked],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=home,
        )
        self.facts: dict[str, Any] = self._answer()

    def images_per_second(self) -> float:
        """Let it train one epoch."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.facts |= self._answer()
        return float(self.facts["images"] / self.facts["seconds"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            if line.startswith("@"):
                return dict(json.loads(line[1:]))
            said.append(line)
        raise SystemExit("the rival ended:\n" + "".join(said[-20:]))


def export_yolo(records: Sequence[Record], classes: Sequence[str], folder: Path) -> Path:
    """The records as YOLO text files; returns the data.yaml. The same photos serve as its validation set."""
    images, labels = folder / "images", folder / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    for number, record in enumerate(records):
        shutil.copyfile(record.path, images / f"{number:05d}{record.path.suffix}")
        height, width = photo_size(record.path)
        lines = []
        for label, (left, top, right, bottom) in zip(record.labels, record.boxes_xyxy.tolist(), strict=True):
            centre = f"{(left + right) / 2 / width:.6f} {(top + bottom) / 2 / height:.6f}"
            lines.append(f"{label} {centre} {(right - left) / width:.6f} {(bottom - top) / height:.6f}")
        (labels / f"{number:05d}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    description = {"path": str(folder), "train": "images", "val": "images", "names": dict(enumerate(classes))}
    path = folder / "data.yaml"
    path.write_text(json.dumps(description), encoding="utf-8")  # JSON is YAML
    return path
