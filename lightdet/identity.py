"""Which training a configuration describes, and what its folder is called. No torch here."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from lightdet.disk import plain
from lightdet.error import LightdetError

MAX_SLUG = 120  # characters
# Plain values at the top of the config that training itself reads. Every other one (head, width, ...) only feeds the
# groups below it by interpolation, so it counts there or nowhere.
READ_AT_TOP = ("image_size", "seed")
NOT_SCIENCE_GROUPS = ("hydra", "logger", "paths", "study", "launcher")
NOT_SCIENCE_KEYS = (
    "data.num_workers",
    "data.cache_megabytes",
    "trainer.checkpoint_seconds",
    "trainer.device",
    "trainer.progress",
)
SHARES = ("limit_train_batches", "limit_val_batches", "overfit_batches")  # a whole number counts batches
YOUNGER_THAN_RUNS = ("data.bits",)  # null stands for what there was before them: older runs are still found
NOT_IN_SLUG = ("seed", "study", "runs_dir", "logger", "launcher", "hydra", *NOT_SCIENCE_KEYS)
ENVIRONMENT = re.compile(r"\$\{oc\.env:([^{}]*)\}")


def slug(overrides: list[str], keep_seed: bool = False) -> str:
    """A folder name for these choices: ["head=76", "attention=cbam"] -> "attention-cbam__head-76".

    Sorted by key; only letters, digits and `._-`; at most 120 characters. What does not change the training (seed,
    study, logger, ...) is left out. A hash tail keeps two names apart when characters had to go.
    """
    parts: list[tuple[str, str, bool]] = []
    told = [word for word in overrides if counts(key := word.partition("=")[0]) or (keep_seed and key == "seed")]
    for override in told:
        key, _, value = override.partition("=")
        key = key.lstrip("+")
        key_text = ("drop-" + key[1:] if key.startswith("~") else key).replace("/", ".")
        text = f"{key_text}-{value}" if value else key_text
        clean = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
        parts.append((key, clean, clean != text))
    if not parts:
        return "default"
    parts.sort()
    name = "__".join(clean for _, clean, _ in parts).lstrip(".")
    if len(name) > MAX_SLUG or any(lossy for _, _, lossy in parts):
        tail = digest(sorted(told))[:8]
        name = f"{name[: MAX_SLUG - 9]}-{tail}"
    return name


def counts(key: str) -> bool:
    """Whether an override of this key is one of the choices that name a run."""
    bare = key.lstrip("+~").split("@")[0].replace("/", ".")
    return not lies_in(bare, NOT_IN_SLUG)


def lies_in(key: str, places: Sequence[str]) -> bool:
    """Whether a dotted key is one of the places, or inside of one."""
    return any(key == place or key.startswith(f"{place}.") for place in places)


def fingerprint(cfg: DictConfig) -> str:
    """Which training a config describes: "<16 hex of the design>-s<seed>".

    Equal for two configs whose resolved model, data, augmentation, optimizer, schedule, trainer and image size are
    equal; blind to where things lie (a path taken from the environment counts by the variable's name), to the logger,
    the study, the kind of device and the progress bar. Raises LightdetError while a mandatory value is missing.
    """
    return f"{digest(design(cfg))[:16]}-s{cfg.get('seed')}"


def design(cfg: DictConfig) -> dict[str, Any]:
    """The part of a config that decides what is learnt, resolved, with the seed left open."""
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
    unset = [place for place in YOUNGER_THAN_RUNS if OmegaConf.select(cfg, place) is None]
    science = without(science, [*NOT_SCIENCE_KEYS, *unset, *ignored(cfg)])
    if isinstance(science.get("trainer"), dict):
        science["trainer"] = _with_ranks(_with_shares(science["trainer"]))
    return science


def ignored(cfg: DictConfig) -> list[str]:
    """Places that a training which is not ours leaves unread, dotted: its model says so in `ignores`."""
    return [str(place) for place in cfg.get("ignores") or []]


def without(tree: dict[str, Any], places: Sequence[str]) -> dict[str, Any]:
    """A copy of nested values without those at the dotted places."""
    kept = dict(tree)
    for place in places:
        name, _, rest = place.partition(".")
        if not rest:
            kept.pop(name, None)
        elif isinstance(kept.get(name), dict):
            kept[name] = without(kept[name], [rest])
    return kept


def _with_shares(trainer: dict[str, Any]) -> dict[str, Any]:
    """One batch (1) and all of them (1.0) are two things, though 1 and 1.0 are one number in a digest."""
    return {
        key: f"{value} of all" if key in SHARES and isinstance(value, float) and value.is_integer() else value
        for key, value in trainer.items()
    }


def _with_ranks(trainer: dict[str, Any]) -> dict[str, Any]:
    """How many ranks share a batch counts, not how they lie on machines; how they share it counts where there are
    several. A training in one process is what it was before there were ranks."""
    settings = {"devices": 1, "nodes": 1, "sync_batchnorm": "auto", **trainer}
    together = {name: settings.pop(name) for name in ("devices", "nodes", "sync_batchnorm")}
    devices, nodes = together["devices"], together["nodes"]
    ranks = devices * nodes if isinstance(devices, int) and isinstance(nodes, int) else [devices, nodes]
    return settings if ranks == 1 else {**settings, "ranks": ranks, "sync_batchnorm": together["sync_batchnorm"]}


def unused(cfg: DictConfig) -> list[str]:
    """The plain values at the top that nothing in the config takes up: head, where there is no attention."""
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


def resolve(cfg: DictConfig) -> dict[str, Any]:
    """A config as plain dicts and lists. Raises LightdetError that names a mandatory value nobody gave."""
    try:
        container = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        missing = ", ".join(sorted(OmegaConf.missing_keys(cfg))) or str(error).splitlines()[0]
        first = missing.split(", ")[0]
        raise LightdetError(f"no value for {missing}: give it on the command line, {first}=...") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _mask_environment(node: Any) -> Any:
    """The same tree with `${oc.env:NAME,...}` turned into plain text, so that a machine's paths do not count."""
    if isinstance(node, dict):
        return {key: _mask_environment(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_mask_environment(value) for value in node]
    return ENVIRONMENT.sub(r"env(\1)", node) if isinstance(node, str) else node


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON; 1 and 1.0 are the same number."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()


def network_digest(config: Mapping[str, Any]) -> str:
    """Which network a resolved configuration describes: seeds, losses and data apart."""
    model = config["model"]
    return digest([model.get("network", model), config["num_classes"]])[:16]
