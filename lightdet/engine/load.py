"""Builds a model from a configuration, and loads a trained one from its run folder or a model package."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from lightdet.config.refusals import is_user_error
from lightdet.config.saved import read_config
from lightdet.config.tree import lies_in
from lightdet.config.trust import check_trusted
from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError, one_line
from lightdet.engine.exported_file import exported_model, settings
from lightdet.engine.other_data import with_chosen_data
from lightdet.engine.package_weights import filled
from lightdet.model.contract import Model
from lightdet.nn.pretrained import weights_follow
from lightdet.nn.widths import narrow
from lightdet.ops.grid import ImageSize, plain_size
from lightdet.runs.contract import MOST_SIDE, Contract
from lightdet.runs.exported import is_exported
from lightdet.runs.folder import BEST, LAST, RunFolder
from lightdet.runs.jobs import finite, inside
from lightdet.runs.package import CONTRACT, is_package, read_contract
from lightdet.runs.promise import Promise, read_promise
from lightdet.runs.trained_scale import TrainedScale, read_scale

MEASURED_WITH = ("data", "model")  # the parts of a run's config that are read when it is measured


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A trained model with the settings needed to use it."""

    model: Model
    classes: tuple[str, ...]
    image_size: ImageSize  # px
    config: DictConfig
    epoch: int  # of the checkpoint, 0-based
    threshold: float | None  # least score of a result, as the validation split gave it; None: not measured
    promise: Promise | None = None  # the threshold that `lightdet threshold` froze, which comes before the other
    scale: TrainedScale | None = None  # of the training images; None: not known without its data


def build_model(cfg: DictConfig, num_classes: int, fetch: bool = True) -> Model:
    """The untrained model that a composed configuration describes, for that many classes.

    Pretrained weights are fetched, unless `fetch=False`: for weights that are loaded afterwards or do not matter.
    `model.widths`, of a run that was pruned, are those of its layers. Raises LightdetError for a configuration whose
    model is no `Model`, and widths that it cannot have.
    """
    filled = cfg.copy()
    OmegaConf.update(filled, "num_classes", num_classes)
    with open_dict(filled):
        widths = filled.model.pop("widths", None) or {}
    with nullcontext() if fetch else weights_follow():
        model = instantiate(filled.model, _convert_="all")
    if not isinstance(model, Model):
        raise LightdetError(f"model: {type(model).__name__} is no Model (lightdet.model.contract)")
    if widths:
        narrow(model.network, dict(widths))
    return model


def load_weights(model: Model, checkpoint: Path, device: str = "cpu") -> int:
    """Fills a model with a checkpoint's averaged weights; returns the checkpoint's epoch (0-based).

    Only tensors and plain values are unpickled. Raises LightdetError for a file that is missing, broken, or of
    another model.
    """
    state = read_checkpoint(checkpoint, device)
    try:
        model.load_state_dict(state["ema"]["weights"])
        return int(state["epoch"])
    except (KeyError, RuntimeError, TypeError, AttributeError, ValueError, OverflowError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()[:200]
        raise LightdetError(f"{checkpoint}: not a checkpoint of this model ({reason})") from error


def load_run(
    run_path: Path,
    checkpoint: str = "best",
    device: str = "cpu",
    overrides: Sequence[str] = (),
    trust_modules: bool = False,
    threads: int | None = None,
) -> LoadedRun:
    """The model of a run, finished or not, of a package or an exported file, with its averaged weights, in eval mode.

    `checkpoint` is "best" or "last"; `overrides` change values of its config; `trust_modules` lets code run that its
    config names and that is not lightdet's; `threads` compute an exported file (None: the runtime's choice). Raises
    LightdetError for such code otherwise, a folder that is no run, a damaged package, a missing device, an override
    that nothing reads and one under which the weights do not fit.
    """
    require_device(device)
    if checkpoint not in ("best", "last"):
        raise LightdetError(f"checkpoint={checkpoint}: one of best, last")
    if is_exported(run_path):
        file, told = exported_model(run_path, checkpoint, device, threads)
        config = changed(settings(told), overrides)
        threshold, promise = min(told.thresholds, default=None), None if overrides else told.promise
        return LoadedRun(file, told.classes, told.image_size, config, 0, threshold, promise, told.scale)
    if is_package(run_path):
        contract = read_contract(run_path)
        check_trusted(contract.config(), run_path / CONTRACT, trust_modules, MEASURED_WITH)
        return _load_package(run_path, contract, checkpoint, device, overrides)
    folder = RunFolder(run_path)
    if not folder.config_path.exists():
        raise LightdetError(f"{run_path}: no run here (config.yaml is missing); name a folder .../s<seed>")
    config = read_config(folder.config_path, trust_modules, MEASURED_WITH)
    if "classes" not in config:
        raise LightdetError(f"{folder.config_path}: not the configuration of a run that began training")
    _check_kinds(config, folder.config_path)
    config = changed(config, overrides)
    classes = tuple(config.classes)
    try:
        model = build_model(config, len(classes), fetch=False)
    except Exception as error:  # a file may say anything
        if is_user_error(error):
            raise
        raise LightdetError(f"{folder.config_path}: no model can be built of it: {one_line(error)}") from error
    weights = folder.checkpoints / (BEST if checkpoint == "best" else LAST)
    epoch = load_weights(model, weights, device)
    size, threshold = plain_size(config.image_size), best_threshold(folder.read_results())
    promise = None if overrides else read_promise(run_path, weights, classes)
    scale = read_scale(run_path)
    return LoadedRun(model.to(device).eval(), classes, size, config, epoch, threshold, promise, scale)


def _load_package(
    package: Path, contract: Contract, checkpoint: str, device: str, overrides: Sequence[str]
) -> LoadedRun:
    if checkpoint != "best":
        raise LightdetError(f"checkpoint={checkpoint}: {package} is a model package, which has the best one alone")
    config = changed(contract.config(), overrides)

    def build() -> Model:
        return build_model(config, len(contract.classes), fetch=False)

    model = filled(build, package, contract).to(device)
    told = contract.threshold, None if overrides else contract.promise, contract.scale
    return LoadedRun(model, contract.classes, contract.image_size, config, contract.epoch, *told)


def best_threshold(results: Mapping[str, Any]) -> float | None:
    """The least score of a result, as the validation data of a run gave it; None: not measured, or no score."""
    threshold = finite(inside(results, "metrics", "operating_point", "threshold"))
    return threshold if threshold is not None and 0 <= threshold <= 1 else None


def _check_kinds(config: DictConfig, said_by: Path) -> None:
    """Raises LightdetError for a configuration whose parts are not of the kinds that a run writes."""
    if not all(isinstance(config.get(name), DictConfig) for name in MEASURED_WITH):
        raise LightdetError(f"{said_by}: {' or '.join(MEASURED_WITH)} is no section; copy the run again")
    names = OmegaConf.to_object(config.classes) if OmegaConf.is_config(config.classes) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LightdetError(f"{said_by}: classes is no list of names; copy the run again")
    size = config.image_size
    sides = list(size) if isinstance(size, ListConfig) and len(size) == 2 else [size]
    if not all(isinstance(side, int) and 0 < side <= MOST_SIDE for side in sides):
        raise LightdetError(f"{said_by}: image_size is no side, nor height and width, of 1 to {MOST_SIDE} px")


def changed(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config with its dataset (`data=OPTION`) or some of its values replaced. Raises LightdetError for a key that
    it does not have, or that is read in training alone."""
    chosen, overrides = with_chosen_data(config, overrides)
    result = chosen.copy()
    OmegaConf.set_struct(result, True)
    for override in overrides:
        try:
            _put(result, override)
        except (OmegaConfBaseException, YAMLError, HydraException) as error:
            reason = " ".join(str(error).split("full_key")[0].split())
            raise LightdetError(f"{override}: not a value of the run's config ({reason})") from error
        if not lies_in(override.partition("=")[0], MEASURED_WITH):
            raise LightdetError(
                f"{override}: changes nothing here; of a run's config {' and '.join(MEASURED_WITH)} count"
            )
    return result


def _put(config: DictConfig, override: str) -> None:
    """Changes a value; several named ones in braces, {scratch:10}, take the place of those that were there."""
    key, _, value = override.partition("=")
    if value.startswith("{"):  # YAML would take scratch:10 for one word
        OmegaConf.update(config, key, OverridesParser.create().parse_override(override).value(), merge=False)
    else:
        config.merge_with_dotlist([override])


def require_device(name: str) -> None:
    """Raises LightdetError for a device that torch cannot compute on here."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise LightdetError(f"device={name}: torch sees no such device here ({reason[:120]}); take cpu") from error
