"""Resolves `teacher=RUN|PACKAGE|WORD`, from which a training learns, when the training is requested. No torch here.

The request then names the folders and the content of their weights; only the content counts in the fingerprint. A word
stays what it is: `self`, the moving average of the training's own weights, and `pretrained_lite0`.
"""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.config.settings import LITE0, SELF
from lightdet.core.errors import LightdetError
from lightdet.core.files import sha256_of
from lightdet.core.pretrained_package import lite0_weights
from lightdet.runs.find import find_model
from lightdet.runs.folder import BEST, RunFolder
from lightdet.runs.package import is_exported, is_package, read_contract, weights_file


def settle_teachers(cfg: DictConfig) -> DictConfig:
    """The configuration with `teacher`, a name or a list of names, as {models: absolute paths, sha256: of their
    weights}; unchanged where that is done, or where there is none. Raises LightdetError for what is no trained model.
    """
    given = OmegaConf.to_object(cfg.teacher) if OmegaConf.is_config(cfg.get("teacher")) else cfg.get("teacher")
    if given is None or isinstance(given, dict):
        return cfg
    names = given if isinstance(given, list) else [given]
    models = [str(name) if name in (SELF, LITE0) else _model(str(name)) for name in names]
    settled = cfg.copy()
    OmegaConf.set_struct(settled, False)
    settled.teacher = {"models": [str(model) for model in models], "sha256": [content_of(model) for model in models]}
    return settled


def teacher_models(teacher: Any) -> list[str]:
    """The folders of resolved teachers, and words. Raises LightdetError for one that is gone or has changed."""
    models = [str(model) for model in teacher.models]
    for model, known in zip(models, teacher.sha256, strict=True):
        if content_of(model) != known:
            raise LightdetError(f"teacher: the weights of {model} have changed since the training was requested")
    return models


def content_of(teacher: str | Path) -> str:
    """sha256 of the weights of a model, a folder; `SELF` is its own. Raises LightdetError where there are none."""
    if teacher == SELF:
        return SELF
    if teacher == LITE0:
        return sha256_of(lite0_weights("teacher"))
    model = Path(teacher)
    if is_package(model):
        contract = read_contract(model)
        weights_file(model, contract)  # has the hash of the contract, or is refused
        return contract.weights_sha256
    file = RunFolder(model).checkpoints / BEST
    if not file.is_file():
        raise LightdetError(f"teacher: no {file.name} in {model}; name a run that is trained")
    return sha256_of(file)


def _model(name: str) -> Path:
    try:
        model = find_model(name)
    except LightdetError as error:
        raise LightdetError(f"teacher={error}") from error
    if is_exported(model):
        raise LightdetError(f"teacher={name}: a file without maps and layers; name the run that it was exported from")
    return model.resolve()
