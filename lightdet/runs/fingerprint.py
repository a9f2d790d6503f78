"""The fingerprint of a training: a hash of everything in its configuration that decides the result. No torch here."""

import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.config.moved import with_changes, with_first_names, with_first_values, without_younger_keys
from lightdet.config.names import NOT_SCIENCE_KEYS
from lightdet.config.tree import READ_AT_TOP, digest, ignored, resolve, without

NOT_SCIENCE_GROUPS = ("hydra", "logger", "paths", "study", "launcher")
SHARES = ("limit_train_batches", "limit_val_batches", "overfit_batches")  # a whole number counts batches
ENVIRONMENT = re.compile(r"\$\{oc\.env:([^{}]*)\}")


def fingerprint(cfg: DictConfig) -> str:
    """The fingerprint of the training that a config describes: "<16 hex of the design>-s<seed>".

    Equal for two configs whose resolved model, data, augmentation, optimizer, schedule, trainer and image size are
    equal; independent of paths taken from the environment (their variable's name counts), of the logger, the study,
    the kind of device and the progress bar. Raises LightdetError while a mandatory value is missing.
    """
    return f"{digest(design(cfg))[:16]}-s{cfg.get('seed')}"


def design(cfg: DictConfig) -> dict[str, Any]:
    """The part of a config that decides the result, resolved, with the seed left open."""
    tree = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(tree, dict)
    tree.pop("hydra", None)
    if "seed" in tree:
        tree["seed"] = "<seed>"
    resolved = resolve(OmegaConf.create(_mask_environment(tree)))
    science = {
        key: value
        for key, value in resolved.items()
        if key not in NOT_SCIENCE_GROUPS and value != {} and (isinstance(value, dict) or key in READ_AT_TOP)
    }
    science = without_younger_keys(with_first_values(with_first_names(with_changes(science))))
    science = without(science, [*NOT_SCIENCE_KEYS, *ignored(cfg)])
    if isinstance(science.get("trainer"), dict):
        science["trainer"] = _with_ranks(_with_shares(science["trainer"]))
    return science


def _with_shares(trainer: dict[str, Any]) -> dict[str, Any]:
    """Distinguishes one batch (1) from all of them (1.0), which are the same number in a digest."""
    return {
        key: f"{value} of all" if key in SHARES and isinstance(value, float) and value.is_integer() else value
        for key, value in trainer.items()
    }


def _with_ranks(trainer: dict[str, Any]) -> dict[str, Any]:
    """The number of ranks counts, not their distribution over machines; with several, `sync_batchnorm` counts too. A
    training in one process has the fingerprint of code without ranks."""
    settings = {"devices": 1, "nodes": 1, "sync_batchnorm": "auto", **trainer}
    together = {name: settings.pop(name) for name in ("devices", "nodes", "sync_batchnorm")}
    devices, nodes = together["devices"], together["nodes"]
    ranks = devices * nodes if isinstance(devices, int) and isinstance(nodes, int) else [devices, nodes]
    return settings if ranks == 1 else {**settings, "ranks": ranks, "sync_batchnorm": together["sync_batchnorm"]}


def _mask_environment(node: Any) -> Any:
    """The same tree with `${oc.env:NAME,...}` turned into plain text, so that a machine's paths do not count."""
    if isinstance(node, dict):
        return {key: _mask_environment(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_mask_environment(value) for value in node]
    return ENVIRONMENT.sub(r"env(\1)", node) if isinstance(node, str) else node


def network_digest(config: Mapping[str, Any]) -> str:
    """Which network a resolved configuration describes: seeds, losses and data apart."""
    model = without_younger_keys(with_first_names(dict(config)))["model"]
    widths = [model["widths"]] if model.get("widths") else []
    return digest([model.get("network", model), config["num_classes"], *widths])[:16]
