"""Reading a composed configuration as a tree of plain values. No torch here."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from lightdet.core.errors import LightdetError
from lightdet.core.files import plain

# Plain values at the top of the config that training itself reads. Every other one (head, width, ...) only feeds the
# groups below it by interpolation, so it counts there or nowhere.
READ_AT_TOP = ("image_size", "seed", "weights", "teacher")


def resolve(cfg: DictConfig) -> dict[str, Any]:
    """A config as plain dicts and lists. Raises LightdetError for a mandatory value that is missing."""
    try:
        container = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        missing = ", ".join(sorted(OmegaConf.missing_keys(cfg))) or str(error).splitlines()[0]
        first = missing.split(", ")[0]
        raise LightdetError(f"no value for {missing}: give it on the command line, {first}=...") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A copy of a composed configuration without Hydra's own section."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def without(tree: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A copy of nested values without those at the dotted keys."""
    kept = dict(tree)
    for dotted in keys:
        name, _, rest = dotted.partition(".")
        if not rest:
            kept.pop(name, None)
        elif isinstance(kept.get(name), dict):
            kept[name] = without(kept[name], [rest])
    return kept


def lies_in(key: str, keys: Sequence[str]) -> bool:
    """Whether a dotted key is one of `keys`, or inside one of them."""
    return any(key == other or key.startswith(f"{other}.") for other in keys)


def ignored(cfg: DictConfig) -> list[str]:
    """Dotted keys that the training of another framework does not read: the configuration lists them as `ignores`."""
    return [str(key) for key in cfg.get("ignores") or []]


def unused(cfg: DictConfig) -> list[str]:
    """The plain values at the top that no part of the config reads, such as head where there is no attention."""
    tree = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(tree, dict)
    tree.pop("hydra", None)
    named = {str(key): value for key, value in tree.items()}
    marks = {
        key: f"<<{key}>>" for key, value in named.items() if not isinstance(value, dict) and key not in READ_AT_TOP
    }
    groups = [value for value in resolve(OmegaConf.create({**named, **marks})).values() if isinstance(value, dict)]
    text = json.dumps(plain(groups))
    return [key for key, mark in marks.items() if mark not in text]


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON; 1 and 1.0 are the same number."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()
