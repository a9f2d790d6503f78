"""The methods that a command names: options of `conf/explain`, and of a folder of further options."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import open_dict

from lightdet.config.compose import compose_config
from lightdet.config.conf_folder import conf_folder
from lightdet.core.errors import LightdetError
from lightdet.explain.contract import Method

GROUP = "explain"
ALL = "all"
DEFAULT = "layer_cam"


def method_names(config_dir: Path | None = None) -> list[str]:
    """Every method there is, the default one first, then by name."""
    folders = [conf_folder(), *([config_dir] if config_dir is not None else [])]
    names = {file.stem for folder in folders for file in (folder / GROUP).glob("*.yaml")}
    return sorted(names, key=lambda name: (name != DEFAULT, name))


def build_methods(
    names: Sequence[str], settings: Sequence[str] = (), config_dir: Path | None = None, layer: str | None = None
) -> dict[str, Method]:
    """The methods by name, in the order given; "all" is every one.

    `settings` change their values: "explain.rise.masks=500". `layer` is given to every method that takes one. Raises
    LightdetError for an unknown method or setting, and for a layer that none of them takes.
    """
    known = method_names(config_dir)
    chosen = list(dict.fromkeys(name for each in names for name in (known if each == ALL else [each])))
    for name in chosen:
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise LightdetError(f"--method {name}: one of {', '.join(known)}, or {ALL}{meant}")
    section = compose_config([f"+{GROUP}=[{','.join(chosen)}]", *settings], config_dir)[GROUP]
    with_layer = [name for name in chosen if "layer" in section[name]]
    if layer is not None and not with_layer:
        raise LightdetError(f"--layer {layer}: {', '.join(chosen)} looks at no layer")
    with open_dict(section):
        for name in with_layer if layer is not None else ():
            section[name].layer = layer
    return {name: _built(name, section[name]) for name in chosen}


def _built(name: str, config: object) -> Method:
    method = instantiate(config, _convert_="all")
    if not isinstance(method, Method):
        raise LightdetError(f"{GROUP}={name}: {type(method).__name__} is no Method (lightdet.explain.contract)")
    return method
