"""Checks of a composed configuration that need no torch."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from lightdet.config.conf_folder import conf_folder
from lightdet.config.refusals import advice, default_config
from lightdet.config.settings import READERS, check_settings
from lightdet.config.tree import ignored, unused, without_hydra
from lightdet.core.errors import LightdetError


def judge(cfg: DictConfig, words: Sequence[str]) -> None:
    """Raise LightdetError for a configuration, composed under the overrides `words`, that cannot be trained."""
    bare = without_hydra(cfg)
    require_sections(bare, words)
    require_values(bare)
    require_mappings(bare, words)
    require_read(bare, words)
    if "training" not in (bare.get("model") or {}):  # a training of another framework checks its settings itself
        check_settings(bare)


def missing_folder(cfg: DictConfig) -> str:
    """One line about the folder of the dataset where it does not exist on this machine, or ""."""
    reader = OmegaConf.select(cfg, "data.reader") or {}
    root = reader.get("root")
    known = str(reader.get("_target_")).startswith(READERS)
    if not known or root is None or Path(root).expanduser().is_dir():
        return ""
    return f"data.reader.root={root}: no such folder; set it to where the dataset is"


def require_sections(cfg: DictConfig, words: Sequence[str]) -> None:
    """Raise LightdetError for a section that nothing reads: of an option file without the right `# @package` line, or
    of a config group that does not exist."""
    for name in [str(key) for key, node in cfg.items_ex(resolve=False) if isinstance(node, DictConfig)]:
        if name in default_config() or name in ignored(cfg) or _is_interpolated(cfg, name):
            continue
        named = [word for word in words if re.match(rf"\+*{re.escape(name)}[=/@.]", word)]
        if (conf_folder() / name).is_dir() and not any(word.startswith("+") for word in named):
            raise LightdetError(
                f"{name}: this option sets nothing; the first line of its file must be `# @package ...`, as in "
                f"conf/{name}"
            )
        raise LightdetError(f"{(named or [name])[0]}: nothing reads it; {advice(name, default_config())}")


def _is_interpolated(cfg: DictConfig, name: str) -> bool:
    """Whether anything outside of a section refers to it."""
    rest = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != name])
    return re.search(rf"\${{{re.escape(name)}[.}}]", OmegaConf.to_yaml(rest)) is not None


def require_values(config: DictConfig) -> None:
    """Raise LightdetError for values that have no default and were not given: of the data, environment variables."""
    try:
        missing = sorted(key for key in OmegaConf.missing_keys(config) if key.startswith("data."))
    except InterpolationResolutionError as error:
        why = str(error).splitlines()[0].rpartition("interpolation: ")[2].strip('"')
        raise LightdetError(f"no value for {error.full_key}: {why}") from error
    if missing:
        raise LightdetError(f"no value for {', '.join(missing)}: give {missing[0]}=... on the command line")


def require_mappings(cfg: DictConfig, words: Sequence[str]) -> None:
    """Raise LightdetError for an override with one value for a section of several settings."""
    for word in words:
        key = word.partition("=")[0].lstrip("+")
        value = OmegaConf.select(cfg, key) if "." in key else None  # null removes a section, which is allowed
        settings = None if value is None or OmegaConf.is_config(value) else OmegaConf.select(default_config(), key)
        if isinstance(settings, DictConfig):
            inside = (str(name) for name in settings)
            listed = ", ".join(f"{key}.{name}" for name in inside if not name.startswith("_"))
            raise LightdetError(f"{word}: {key} is not one value, but several: {listed}")


def require_read(cfg: DictConfig, words: Sequence[str]) -> None:
    """Raise LightdetError for an added value (`+key=value`) that nothing reads, most likely a typing error."""
    for word in words:
        name = word.partition("=")[0]
        key = name.lstrip("+")
        if key != name and "/" not in key and "@" not in key and not _is_read(cfg, key):
            raise LightdetError(f"{word}: nothing reads it; {advice(key, cfg)}")


def _is_read(cfg: DictConfig, key: str) -> bool:
    """Whether a key is a section, an argument of some constructor, or interpolated elsewhere."""
    if OmegaConf.is_config(OmegaConf.select(cfg, key)) or any("_target_" in node for node in _around(cfg, key)):
        return True
    return f"${{{key}}}" in OmegaConf.to_yaml(cfg) if "." in key else key not in unused(cfg)


def _around(cfg: DictConfig, key: str) -> Iterator[DictConfig]:
    """The nodes that a dotted key leads through, the root left out."""
    node = cfg
    for name in key.split(".")[:-1]:
        node = node[name]
        yield node
