"""Builds the reader of an option of the config group data, as words of a command line would."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import get_class
from omegaconf import OmegaConf

from lightdet.config.conf_folder import conf_folder
from lightdet.data.record import Reader


def option_reader(option: str, settings: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> Reader:
    """The reader that `data=OPTION` with these settings of data.reader builds; those in `known` are used where the
    option has them. Raises LightdetError as the reader does."""
    file = OmegaConf.to_container(OmegaConf.load(conf_folder() / "data" / f"{option}.yaml"))
    assert isinstance(file, dict)
    values = {**file["reader"], **settings}
    values |= {key: value for key, value in (known or {}).items() if key in values}
    reader: Reader = get_class(values.pop("_target_"))(**values)
    return reader
