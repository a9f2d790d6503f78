"""The configuration that a command line describes, composed by Hydra without Hydra's own application. No torch here."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException
from omegaconf import DictConfig

from lightdet.conf_dir import conf_dir
from lightdet.error import LightdetError

NAMELESS = (bool, int, float, dict, type(None))  # what cannot be the name of an option, in the words of Hydra's parser


def compose_config(overrides: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The configuration that `lightdet train` would see under these overrides; also from inside of a job of Hydra's."""
    inside = GlobalHydra.instance().is_initialized()
    with nullcontext() if inside else initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", overrides=_with_folder(overrides, config_dir))


def compose_job(overrides: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The same with Hydra's own section, from which HydraConfig answers from now on: the chosen options are known."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", overrides=_with_folder(overrides, config_dir), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg


def require_words(words: Sequence[str]) -> None:
    """Raise LightdetError for what Hydra's parser lets pass and its composition then fails at without naming it: a word
    without a key, and an option of a group that is not a name. Words that are no overrides are left to others."""
    parser = OverridesParser.create()
    for word in words:
        try:
            override = parser.parse_override(word)
        except HydraException:
            continue
        if not override.key_or_group:
            raise LightdetError(f"{word}: not understood as key=value; the key is missing")
        group = conf_dir() / override.key_or_group
        value = override.value()
        chosen = value.list if isinstance(value, ChoiceSweep) else [value]
        if group.is_dir() and not override.is_delete() and any(isinstance(one, NAMELESS) for one in chosen):
            options = sorted(file.stem for file in group.glob("*.yaml"))
            raise LightdetError(f"{word}: there is no such option; choose one of {', '.join(options)}")


def _with_folder(overrides: Sequence[str], config_dir: Path | None) -> list[str]:
    require_words(overrides)
    if config_dir is None:
        return list(overrides)
    if not config_dir.is_dir():
        raise LightdetError(f"--config-dir {config_dir}: there is no such folder")
    return [*overrides, f"hydra.searchpath=[file://{config_dir.resolve()}]"]
