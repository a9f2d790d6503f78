"""Keeps old runs valid when the code changes: tables of renamed classes, and of settings that are younger than runs.

A class that computes something else than it did is in `CHANGED`: a training with it is another training than before,
and its fingerprint says so. Runs that were made before keep their results.

A configuration that is read from a run folder passes through `with_current_names` and `with_younger_keys` before
anything is built from it (`read_config` does both), and a configuration that is hashed through `with_first_names` and
`without_younger_keys`. So a class may move and a setting may be added, and a finished run keeps its fingerprint. No
torch here.
"""

from collections.abc import Mapping
from typing import Any

# Full name of a class or function as runs know it -> its name today. A class that moves twice has two entries, its
# first name above.
MOVED: dict[str, str] = {"lightdet.data.module.DetectionData": "lightdet.data.module.ImageData"}
# Setting, dotted -> the value that means what runs did before the setting existed.
YOUNGER_KEYS: dict[str, Any] = {
    "data.label": None,
    "data.per_class": None,
    "data.per_class_seed": 0,
    "data.bits": None,
    "data.channels": 3,
    "data.group": None,
    "weights": None,
    "teacher": None,
}
# The same for settings of options, whose class has the old meaning as its default, or comes from outside without it.
YOUNGER_OPTION_KEYS: dict[str, Any] = {
    "data.reader.crowd": "ignore",
    "model.adjust": "none",
    "model.network.readout": None,
    "model.network.pooling": None,
    "model.network.every_map": False,
    "compress.latency": None,
} | {
    f"model.network.{backbone}.{key}": as_before
    for backbone in ("backbone", "backbone.inner")
    for key, as_before in (("in_channels", 3), ("finest_stride", 8), ("coarsest_stride", 16))
}
# Setting, dotted -> a value of today and the one by which runs know it.
YOUNGER_VALUES: dict[str, tuple[Any, Any]] = {"trainer.monitor": ("primary", "val/map50_95")}
# Name today of a class whose computation changed after runs were made -> how often it did.
CHANGED: dict[str, int] = {
    "lightdet.assigner.ratio.Ratio": 1,  # a centre on the border of a cell: no positive that the predictor cannot reach
    "lightdet.backbone.residual.Residual": 1,  # statistics of BatchNorm follow within ten steps, not thirty
}
NAMING = ("_target_", "training")  # the keys whose values name code


def with_current_names(tree: Any) -> Any:
    """A copy of nested plain values in which every name of code is the one it has today."""
    return _renamed(tree, MOVED)


def with_first_names(tree: Any) -> Any:
    """A copy of nested plain values in which every name of code is the one it had first."""
    return _renamed(tree, {new: old for old, new in reversed(MOVED.items())})


def with_changes(tree: Any) -> Any:
    """A copy of nested plain values in which each class that computes something else than it did says how often."""
    if isinstance(tree, list):
        return [with_changes(value) for value in tree]
    if not isinstance(tree, dict):
        return tree
    copy = {key: with_changes(value) for key, value in tree.items()}
    name = tree.get("_target_")
    return {**copy, "_changed_": CHANGED[name]} if isinstance(name, str) and name in CHANGED else copy


def without_younger_keys(tree: dict[str, Any]) -> dict[str, Any]:
    """A copy of nested plain values without the younger settings that have their old meaning."""
    for key, as_before in (YOUNGER_KEYS | YOUNGER_OPTION_KEYS).items():
        tree = _without_value(tree, key.split("."), as_before)
    return tree


def with_younger_keys(tree: dict[str, Any]) -> dict[str, Any]:
    """A copy of nested plain values with the younger settings that it lacks, at the value with the old meaning."""
    for key, as_before in YOUNGER_KEYS.items():
        tree = _with_value(tree, key.split("."), as_before)
    return tree


def with_first_values(tree: dict[str, Any]) -> dict[str, Any]:
    """A copy of nested plain values in which a value with a younger name is the one by which runs know it."""
    for key, (today, first) in YOUNGER_VALUES.items():
        group, _, name = key.partition(".")
        inner = tree.get(group)
        if isinstance(inner, dict) and inner.get(name) == today:
            tree = {**tree, group: {**inner, name: first}}
    return tree


def _renamed(tree: Any, names: Mapping[str, str]) -> Any:
    if isinstance(tree, list):
        return [_renamed(value, names) for value in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: names.get(value, value) if key in NAMING and isinstance(value, str) else _renamed(value, names)
        for key, value in tree.items()
    }


def _with_value(tree: dict[str, Any], key: list[str], value: Any) -> dict[str, Any]:
    """Only where the group that holds the setting is there: another task may have no such group."""
    name, *rest = key
    if not rest:
        return tree if name in tree else {**tree, name: value}
    inner = tree.get(name)
    return {**tree, name: _with_value(inner, rest, value)} if isinstance(inner, dict) else tree


def _without_value(tree: dict[str, Any], key: list[str], value: Any) -> dict[str, Any]:
    name, *rest = key
    if name not in tree:
        return tree
    if rest:
        inner = tree[name]
        return {**tree, name: _without_value(inner, rest, value)} if isinstance(inner, dict) else tree
    same = type(tree[name]) is type(value) and tree[name] == value
    return {other: kept for other, kept in tree.items() if other != name} if same else tree
