"""Resolves `weights=RUN|PACKAGE|FILE|builtin`, which a training starts from, when it is requested. No torch here.

The request then names the file and its content; the run folder gets the file itself, so that it can be trained on any
machine.
"""

import os
import shutil
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lightdet.core.errors import LightdetError
from lightdet.core.files import sha256_of
from lightdet.core.paths import is_inside
from lightdet.runs.builtin_weights import BUILTIN, builtin_weights
from lightdet.runs.find import LAST, find_run, last_run
from lightdet.runs.folder import BEST, RunFolder
from lightdet.runs.package import is_package, is_safetensors, read_contract, weights_file

SIGNATURES = (b"PK", b"\x80")  # how a file of torch.save begins: a zip archive, or before torch 1.6 a pickle


def settle_weights(cfg: DictConfig) -> DictConfig:
    """The configuration with `weights` as {file: absolute path, sha256: of its content}; unchanged where that is done,
    or where there are none.

    `weights` is a checkpoint file, a model package or what `find_run` accepts; of a run its best checkpoint counts.
    `builtin` are those of the package for this backbone.
    `last` passes over runs that were themselves started with `weights=last`, so that the same command finds the same
    weights again. Raises LightdetError for no such file, a damaged package, a run without a checkpoint, and one that is
    being trained.
    """
    given = cfg.get("weights")
    if given is None or OmegaConf.is_config(given):
        return cfg
    found = builtin_weights(cfg) if given == BUILTIN else _checkpoint(str(given), Path(cfg.get("runs_dir") or "runs"))
    file = found.resolve()
    status = file.stat()
    settled = cfg.copy()
    OmegaConf.set_struct(settled, False)
    settled.weights = {"file": str(file), "sha256": _sha256(file, status.st_mtime_ns, status.st_size)}
    return settled


def bring_weights(cfg: DictConfig, folder: RunFolder) -> None:
    """Puts the file of resolved `weights` into the run folder, as a hard link where the disk allows it.

    Raises LightdetError for a file that is gone or has changed since.
    """
    weights = cfg.get("weights")
    if weights is None or folder.start_path.exists():
        return
    file = Path(weights.file)
    if not is_inside(folder.checkpoints, folder.path):
        raise LightdetError(f"{folder.checkpoints}: a link that leads out of its run; replace it by what it points to")
    folder.start_path.parent.mkdir(parents=True, exist_ok=True)
    half = folder.start_path.with_suffix(".tmp")
    half.unlink(missing_ok=True)
    try:
        os.link(file, half)
    except OSError:
        with suppress(FileNotFoundError):
            shutil.copyfile(file, half)
    if not half.exists() or _sha256(half, half.stat().st_mtime_ns, half.stat().st_size) != weights.sha256:
        half.unlink(missing_ok=True)
        raise LightdetError(f"weights={file}: the file is gone or has changed; give the command again")
    half.rename(folder.start_path)


def _checkpoint(given: str, runs_dir: Path) -> Path:
    if Path(given).is_file():
        with open(given, "rb") as file:
            saved = file.read(2).startswith(SIGNATURES)
        if not saved and not is_safetensors(Path(given)):
            raise LightdetError(f"weights={given}: no checkpoint; give a file that torch.save wrote, or a run")
        return Path(given)
    if given != LAST and is_package(Path(given)):
        return weights_file(Path(given), read_contract(Path(given)))
    try:
        run = last_run(runs_dir, without_word=f"weights={LAST}") if given == LAST else find_run(given, runs_dir)
    except LightdetError as error:
        raise LightdetError(f"weights={error}, or a checkpoint file") from error
    if run.is_running() and run.holder() is not None:
        raise LightdetError(f"weights={given}: {run.path} is being trained; wait for its end")
    checkpoint = run.checkpoints / BEST
    if not checkpoint.is_file():
        raise LightdetError(f"weights={given}: {checkpoint} does not exist; has this run trained for an epoch?")
    return checkpoint


@lru_cache(maxsize=64)
def _sha256(file: Path, mtime_ns: int, size: int) -> str:
    """As `sha256_of`; the other arguments are those of the file, and make it read again when it changes."""
    return sha256_of(file)
