"""Reading a configuration that a run keeps: request.yaml or config.yaml. No torch here."""

import io
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from lightdet.config.moved import with_current_names, with_younger_keys
from lightdet.config.trust import check_trusted
from lightdet.core.errors import LightdetError
from lightdet.core.safe_yaml import read_yaml_text


def read_config(path: Path, trust_modules: bool = False, sections: Sequence[str] | None = None) -> DictConfig:
    """The configuration in a file, interpolations kept, as the code of today names and completes it.

    Names of code that moved are replaced, and settings that are younger than the file are added with the value that
    means what the run did. The given sections (None: all that are built) are checked by `check_trusted`. Raises
    LightdetError for a file that is missing, holds no configuration, or names code that nobody has trusted.
    """
    try:
        config = OmegaConf.load(io.StringIO(read_yaml_text(path)))
    except FileNotFoundError:
        raise LightdetError(f"{path}: no such file") from None
    except (OmegaConfBaseException, YAMLError, ValueError, RecursionError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LightdetError(f"{path}: not a readable configuration ({reason[:120]})") from error
    if not isinstance(config, DictConfig):
        raise LightdetError(f"{path}: not the configuration of a run")
    tree = OmegaConf.to_container(config, resolve=False)
    assert isinstance(tree, dict)
    named = {str(key): value for key, value in tree.items()}
    config = OmegaConf.create(with_younger_keys(with_current_names(named)))
    check_trusted(config, path, trust_modules, sections)
    return config
