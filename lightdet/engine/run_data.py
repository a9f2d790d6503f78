"""The dataset that a run was trained on, as its configuration names it."""

from collections.abc import Sequence
from pathlib import Path

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from lightdet.config.saved import read_config
from lightdet.core.errors import LightdetError, underneath
from lightdet.data.class_order import InOrder
from lightdet.data.image_labels import GOOD
from lightdet.data.module import ImageData
from lightdet.engine.load import MEASURED_WITH
from lightdet.engine.other_data import NO_DATA
from lightdet.runs.exported import is_exported
from lightdet.runs.folder import RunFolder
from lightdet.runs.package import is_package


def run_config(run: Path, trust_modules: bool = False) -> DictConfig:
    """The configuration of a run. Raises LightdetError for a package or an exported file, which has no dataset, and for
    code in it that nobody has trusted."""
    if is_package(run) or is_exported(run):
        raise LightdetError(f"{run}: {NO_DATA}")
    return read_config(RunFolder(run).config_path, trust_modules, MEASURED_WITH)


def data_of(config: DictConfig, classes: tuple[str, ...]) -> ImageData:
    """The dataset of a run, read, with the labels of `classes`. Raises LightdetError where it is not here."""
    if "reader" not in config.data:
        raise LightdetError(NO_DATA)
    try:
        data = in_order_of(classes, config.data)
    except InstantiationException as error:
        raise underneath(error) or error from error
    data.setup()
    return data


def in_order_of(classes: Sequence[str], config: DictConfig) -> ImageData:
    """The data that a configuration describes, with labels in the order of a model's classes.

    Where images get classes by `data.label`, good may be without an image. Raises LightdetError for other classes.
    """
    data: ImageData = instantiate(config, _convert_="all")
    if tuple(data.classes) == tuple(classes):
        return data
    reader, label = data.reader, data.label
    wanted = list(classes)
    if label is not None:  # the reader has other classes than the images get
        wanted = [name for name in classes if name in reader.classes]
        wanted += [name for name in reader.classes if name == GOOD and name not in classes]
    data = instantiate(config, _convert_="all")  # whose records are not read yet
    data.reader = InOrder(reader, wanted)
    if tuple(data.classes) != tuple(classes)[: len(data.classes)]:
        raise LightdetError(f"trained on {', '.join(classes)}; the data has {', '.join(data.classes)}")
    return data
