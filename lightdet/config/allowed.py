"""What a configuration that lies in a folder may name: lightdet's own options, and plain parts of torch. No torch here.

Everything else is `Foreign`. `config/trust.py` says who may allow it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.config.conf_folder import conf_folder
from lightdet.config.moved import MOVED, NAMING
from lightdet.core.shown import shown

OPTIMIZERS = ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
MODULES = (
    *("ELU", "GELU", "Hardsigmoid", "Hardswish", "Identity", "LeakyReLU", "Mish", "PReLU", "ReLU", "ReLU6", "SiLU"),
    *("Sigmoid", "Softplus", "Tanh", "BatchNorm2d", "GroupNorm", "InstanceNorm2d", "LayerNorm"),
)
OF_TORCH = {f"torch.optim.{name}" for name in OPTIMIZERS} | {f"torch.nn.{name}" for name in MODULES}
# Config groups, which are sections as well, whose classes no other part may name: they read files, send, or start
# programs.
SECTION = {"data": "data", "augment": "data", "launcher": "launcher", "logger": "logger", "search": "search"}
NEVER_BUILT = ("launcher", "study", "hydra")  # sections that nothing builds from a file
LOOK_UP = "hydra.utils.get_object"  # gives the object that its `path` names
SHIPPED = re.compile(rf"^[ ]*(?:- )?_target_: (?!{re.escape(LOOK_UP)})(\S+)", re.MULTILINE)
LOOKED_UP = re.compile(rf"_target_: {re.escape(LOOK_UP)}\n *path: (\S+)")
ENVIRONMENT = re.compile(r"\$\{oc\.env:(\w+)(?:,([^{}$\"'\\]*))?\}")
REFERENCES = re.compile(r"\$\{[\w.\[\]-]+\}|\$\{oc\.select:[\w.\[\]]+(?:,[\w.-]*)?\}")  # to the same file, none nested
NETWORK_OR_HUB = re.compile(r"://|^(?:file|hf[-_]hub|local[-_]dir):", re.IGNORECASE)
ANY_PLACE = re.compile(r"[:/\\]|^[~.]")  # what a part of a model takes for a file, a folder, a hub or an address


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something in a configuration that needs a person's word."""

    key: str  # dotted, where it stands
    text: str  # as it stands there
    code: bool  # a name of code; else a place, or an interpolation that reads more than the file

    def __str__(self) -> str:
        text = shown(self.text[:80])
        if self.code:
            return f"{shown(self.key)} names {text}, which is not one of lightdet's own options"
        return f"{shown(self.key)} is {text!r}, which reads from outside of this file"


@cache
def shipped(conf: Path) -> Mapping[str, frozenset[str]]:
    """Names of classes that the option files name: those of each value of SECTION, under "" all others, and under
    LOOK_UP the objects."""
    names: dict[str, set[str]] = {section: set() for section in (*SECTION.values(), "", LOOK_UP)}
    for file in conf.rglob("*.yaml"):
        group, text = file.relative_to(conf).parts[0], file.read_text(encoding="utf-8")
        names[SECTION.get(group, "")].update(SHIPPED.findall(text))
        names[LOOK_UP].update(LOOKED_UP.findall(text))
    names[""] |= OF_TORCH | (set(MOVED.values()) - set().union(*names.values()))
    return {section: frozenset(found) for section, found in names.items()}


@cache
def shipped_environment(conf: Path) -> frozenset[str]:
    """The environment variables that the option files read."""
    texts = [file.read_text(encoding="utf-8") for file in conf.rglob("*.yaml")]
    return frozenset(name for text in texts for name, _ in ENVIRONMENT.findall(text))


def interpolations(config: DictConfig) -> list[Foreign]:
    """The interpolations that read more than the file and the environment variables of option files, and those that
    make a name of code. Nothing is resolved."""
    return list(_interpolations(OmegaConf.to_container(config, resolve=False), ""))


def names(config: DictConfig, sections: Sequence[str] | None = None) -> list[Foreign]:
    """Names of code and places in these sections (None: in all that are built), with interpolations resolved, but for
    environment variables, whose content is the user's.

    Raises OmegaConfBaseException for an interpolation that leads nowhere.
    """
    tree: Any = OmegaConf.to_container(config, resolve=False)
    if "${" in str(tree):
        tree = OmegaConf.to_container(OmegaConf.create(_without_environment(tree)), resolve=True)
    wanted = [str(key) for key in tree if str(key) not in NEVER_BUILT] if sections is None else sections
    found = [one for name in wanted if name in tree for one in _named(tree[name], name, name, True)]
    return list(dict.fromkeys(found))


def written(config: DictConfig) -> list[Foreign]:
    """Names of code and places as they are written, interpolations left alone, in all sections."""
    tree: Any = OmegaConf.to_container(config, resolve=False)
    return [one for name, part in tree.items() if name != "hydra" for one in _named(part, str(name), str(name), True)]


def stated(config: DictConfig) -> Iterator[str]:
    """Every name of code and every use of the environment as they are written, shipped ones too."""
    return _stated(OmegaConf.to_container(config, resolve=False))


def _stated(node: Any) -> Iterator[str]:
    for name, value in _children(node):
        if isinstance(value, str) and (name in NAMING or _is_looked_up(node, name) or "${oc.env:" in value):
            yield value
        yield from _stated(value)


def _interpolations(node: Any, key: str) -> Iterator[Foreign]:
    """Interpolations that read more than the file, and those that make a name of code."""
    for name, value in _children(node):
        inner = f"{key}.{name}" if key else name
        if isinstance(value, str) and "${" in value:
            rest = REFERENCES.sub("", value)
            for variable, _ in ENVIRONMENT.findall(rest):
                if variable not in shipped_environment(conf_folder()):
                    yield Foreign(inner, value, code=False)
            if "${" in ENVIRONMENT.sub("", rest):
                yield Foreign(inner, value, code=False)
            elif name.startswith("_") or inner == "model.training" or _is_looked_up(node, name):
                yield Foreign(inner, value, code=True)
        else:
            yield from _interpolations(value, inner)


def _named(node: Any, key: str, section: str, ours: bool) -> Iterator[Foreign]:
    """Names of code outside the lists, and places; `ours`: the value belongs to a class of lightdet's."""
    if isinstance(node, str):
        pattern = ANY_PLACE if section == "model" else NETWORK_OR_HUB
        if ours and pattern.search(node):
            yield Foreign(key, node, code=False)
        return
    if isinstance(node, dict) and "_target_" in node:
        target = node["_target_"]
        kind = LOOK_UP if target == LOOK_UP else SECTION.get(section, "")
        name = node.get("path") if target == LOOK_UP else target
        ours = isinstance(name, str) and name in shipped(conf_folder())[kind]
        if not ours:
            yield Foreign(key, str(name), code=True)
    for name, value in _children(node):
        inner = f"{key}.{name}"
        if inner == "model.training":
            yield Foreign(inner, str(value), code=True)
        elif name != "_target_" and not _is_looked_up(node, name):
            yield from _named(value, inner, section, ours)


def _is_looked_up(node: Any, name: str) -> bool:
    return name == "path" and isinstance(node, dict) and node.get("_target_") == LOOK_UP


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        yield from ((str(name), value) for name, value in node.items())
    elif isinstance(node, list):
        yield from ((str(index), value) for index, value in enumerate(node))


def _without_environment(node: Any) -> Any:
    """The same tree with the defaults of environment variables in their place: what a variable holds is the user's."""
    if isinstance(node, dict):
        return {name: _without_environment(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_without_environment(value) for value in node]
    return ENVIRONMENT.sub(lambda found: found[2] or "", node) if isinstance(node, str) else node
