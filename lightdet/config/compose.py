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

from lightdet.config.conf_folder import conf_folder
from lightdet.config.names import counts
from lightdet.core.errors import LightdetError

NAMELESS = (bool, int, float, dict, type(None))  # what cannot be the name of an option, in the words of Hydra's parser


def compose_config(overrides: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The configuration that `lightdet train` would see under these overrides; also from inside of a job of Hydra's."""
    inside = GlobalHydra.instance().is_initialized()
    with nullcontext() if inside else initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("train", overrides=_with_folder(overrides, config_dir))


def compose_job(overrides: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The same with Hydra's own section, from which HydraConfig answers from now on: the chosen options are known."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        cfg = compose("train", overrides=_with_folder(overrides, config_dir), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg


def require_words(words: Sequence[str]) -> None:
    """Raise LightdetError for words that Hydra lets pass, or fails at without naming them: one without a key, an option
    that is not a name, several options in one place, a sweep over what is no part of a training."""
    parser = OverridesParser.create()
    for word in words:
        try:
            override = parser.parse_override(word)
        except HydraException:
            continue  # no override, or one that Hydra will name
        key, value = override.key_or_group, override.value()
        if not key:
            raise LightdetError(f"{word}: not understood as key=value; the key is missing")
        if override.is_sweep_override() and key != "seed" and not counts(key):
            together = "; several at once are a list, logger=[a,b]" if key == "logger" else ""
            raise LightdetError(f"{word}: it changes no training, so there is nothing to sweep{together}")
        group = conf_folder() / key
        chosen = value.list if isinstance(value, ChoiceSweep) else [value]
        if not group.is_dir() or override.is_delete():
            continue
        if any(isinstance(one, NAMELESS) for one in chosen):
            options = sorted(file.stem for file in group.glob("*.yaml"))
            raise LightdetError(f"{word}: there is no such option; choose one of {', '.join(options)}")
        if key != "logger" and any(isinstance(one, list) for one in chosen):
            raise LightdetError(f"{word}: there is room for one option; for a training of each, {key}=a,b and -m")


def _with_folder(overrides: Sequence[str], config_dir: Path | None) -> list[str]:
    require_words(overrides)
    if config_dir is None:
        return list(overrides)
    if not config_dir.is_dir():
        raise LightdetError(f"--config-dir {config_dir}: there is no such folder")
    place = str(config_dir.resolve()).replace("'", r"\'")
    return [*overrides, f"hydra.searchpath=['file://{place}']"]
