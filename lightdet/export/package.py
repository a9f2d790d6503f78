"""The format `package`: the averaged weights of a run, a contract that says how they are used, and a model card."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from safetensors.torch import save

from lightdet.config.allowed import names
from lightdet.core.errors import LightdetError
from lightdet.engine.load import LoadedRun, load_run
from lightdet.export.card import card
from lightdet.export.origin import hashes_of, require_results, told_of, without_paths
from lightdet.export.whole_folder import write_folder
from lightdet.runs.contract import FORMAT, SCHEMA, to_contract
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import CARD, CONTRACT, FILES, WEIGHTS, is_package, read_contract


def export_package(
    run: RunFolder, out: Path, licence: str | None = None, trust_modules: bool = False
) -> tuple[str, ...]:
    """Writes the package of a finished run into the folder `out`, whole or not at all; returns the modules outside
    lightdet that its model is made of, which no package holds.

    A package of the same run that is there already is replaced. `trust_modules` as for `load_run`. Raises LightdetError
    for a run without results, one whose model cannot be described without a path of this machine, and an `out` that
    holds anything else.
    """
    require_free(out, run)
    results = require_results(run)
    loaded = load_run(run.path, trust_modules=trust_modules)
    if results.get("best_epoch", loaded.epoch) != loaded.epoch:
        raise LightdetError(
            f"{run.path}: results.json is of epoch {results['best_epoch'] + 1} and best.ckpt of epoch "
            f"{loaded.epoch + 1}; end its training first"
        )
    weights = save({name: _stored(tensor) for name, tensor in loaded.model.state_dict().items()})
    contract = contract_of(run, results, loaded, hashlib.sha256(weights).hexdigest(), licence)
    try:
        to_contract(contract)
    except LightdetError as error:
        raise LightdetError(f"{run.path}: no package can hold this model: {error}") from None
    text = json.dumps(contract, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    files = {WEIGHTS: weights, CONTRACT: text.encode(), CARD: card(contract).encode()}
    write_folder(out, files)
    return tuple(contract["model"]["modules"])


def require_free(out: Path, run: RunFolder) -> None:
    """Raises LightdetError for a place that holds anything but a package of this run."""
    if not (out.exists() or out.is_symlink()):
        return
    same = False
    if out.is_dir() and not out.is_symlink() and is_package(out):
        known = hashes_of(run)["run"]
        same = bool(known) and read_contract(out).run == known and {path.name for path in out.iterdir()} <= set(FILES)
    if not same:
        raise LightdetError(f"{out}: exists and is not just an earlier package of this run; give another place, --out")


def contract_of(
    run: RunFolder, results: dict[str, Any], loaded: LoadedRun, sha256: str, licence: str | None
) -> dict[str, Any]:
    """The content of contract.json. Raises LightdetError for a model that is described by a path of this machine."""
    configuration = OmegaConf.to_container(loaded.config.model, resolve=True)
    _require_no_paths(configuration, "model")
    foreign = names(OmegaConf.create({"model": configuration}))
    if places := [one for one in foreign if not one.code]:
        raise LightdetError(f"{run.path}: {places[0]}, and a package reads nothing")
    told = told_of(run, results, loaded, licence)
    modules = sorted({re.split("[.:]", one.text)[0] for one in foreign})
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        **told,
        "threshold": loaded.threshold,
        "model": {**told["model"], "modules": modules, "configuration": configuration},
        "hashes": {"weights": sha256, **told["hashes"]},
        "provenance": {**told["provenance"], "batch_size": loaded.config.data.batch_size},
    }


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    """As it lies in the file: numbers of less precision become float32, and no two tensors share memory."""
    half = tensor.is_floating_point() and tensor.itemsize < torch.float32.itemsize
    return (tensor.float() if half else tensor).detach().cpu().clone(memory_format=torch.contiguous_format)


def _require_no_paths(node: Any, place: str) -> None:
    if isinstance(node, str) and without_paths(node) != node:
        raise LightdetError(f"{place}={node}: a path of this machine, which a package cannot hold")
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in inside:
        _require_no_paths(value, f"{place}.{name}")
