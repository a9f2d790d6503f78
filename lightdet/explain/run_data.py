"""The dataset that a run was trained on, as its configuration names it."""

from pathlib import Path

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from lightdet.config.saved import read_config
from lightdet.core.errors import LightdetError, underneath
from lightdet.data.class_order import InOrder
from lightdet.data.module import ImageData
from lightdet.engine.load import MEASURED_WITH
from lightdet.engine.other_data import NO_DATA
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import is_package


def run_config(run: Path, trust_modules: bool = False) -> DictConfig:
    """The configuration of a run. Raises LightdetError for a package, which has no dataset, and for code in it that
    nobody has trusted."""
    if is_package(run):
        raise LightdetError(f"{run}: {NO_DATA}")
    return read_config(RunFolder(run).config_path, trust_modules, MEASURED_WITH)


def data_of(config: DictConfig, classes: tuple[str, ...]) -> ImageData:
    """The dataset of a run, read, with the labels of `classes`. Raises LightdetError where it is not here."""
    if "reader" not in config.data:
        raise LightdetError(NO_DATA)
    try:
        data: ImageData = instantiate(config.data, _convert_="all")
    except InstantiationException as error:
        raise underneath(error) or error from error
    if tuple(data.classes) != classes:
        data.reader = InOrder(data.reader, classes)
    data.setup()
    return data
