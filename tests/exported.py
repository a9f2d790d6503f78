"""A working directory with a run of one epoch and the package that was exported from it."""

import json
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from small_run import SMALL_RUN

from lightdet.cli.main import main
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import CONTRACT, WEIGHTS


@dataclass(frozen=True)
class Exported:
    folder: Path  # the working directory of the training
    run: RunFolder
    package: Path
    data: tuple[str, ...]  # words that choose its dataset

    @property
    def image(self) -> Path:
        """An image of the dataset."""
        return next((self.folder / "cache").rglob("*.png"))


def train_and_export(folder: Path) -> Exported:
    """Below `folder`, which is the working directory meanwhile."""
    data = ("data=synthetic", *(word for word in SMALL_RUN if word.startswith("data.reader")))
    words = [*SMALL_RUN, "image_size=64", f"data.reader.cache={folder}/cache", "model.score_threshold=0.00001"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *words, "name=base"]) == 0
        assert main(["export", "base", "--out", "packages/base", "--licence", "ours"]) == 0
    run, package = RunFolder(folder / "runs/single/base/s0"), folder / "packages/base"
    return Exported(folder, run, package, (*data, f"data.reader.cache={folder}/cache"))


def copy_of(package: Path, to: Path) -> Path:
    return Path(shutil.copytree(package, to))


def contract_in(package: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((package / CONTRACT).read_text())
    return content


def rewrite(package: Path, content: Any) -> None:
    """Another contract in its place."""
    (package / CONTRACT).write_text(content if isinstance(content, str) else json.dumps(content))


def rewrite_weights(package: Path, content: bytes) -> None:
    """Other weights, of which the contract has the hash."""
    (package / WEIGHTS).write_bytes(content)
    contract = contract_in(package)
    contract["hashes"]["weights"] = sha256(content).hexdigest()
    rewrite(package, contract)
