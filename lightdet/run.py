"""One run on disk: its folder, its files, and the hash that says which training it is.

Nothing here imports torch: a finished run is recognised from its files alone.
"""

import csv
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from lightdet.error import LightdetError

posix: Any
try:
    import fcntl as posix
except ImportError:  # a system without POSIX locks: two processes on one folder are then not told apart
    posix = None

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
NOT_IN_SLUG = ("seed", "study", "runs_dir", "logger", "launcher", "hydra", *NOT_SCIENCE_KEYS)
ENVIRONMENT = re.compile(r"\$\{oc\.env:([^{}]*)\}")


class RunFolder:
    """`runs_dir/<study>/<slug>/s<seed>`: one training, from its first epoch to its results."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.yaml"
        self.overrides_path = self.path / "overrides.yaml"
        self.request_path = self.path / "request.yaml"
        self.status_path = self.path / "status.json"
        self.results_path = self.path / "results.json"
        self.metrics_csv = self.path / "metrics.csv"
        self.traceback_path = self.path / "traceback.txt"
        self.log_path = self.path / "log.txt"
        self.lock_path = self.path / ".lock"
        self.end_path = self.path / ".end"
        self.checkpoints = self.path / "checkpoints"
        self.pictures = self.path / "pictures"

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def read_status(self) -> dict[str, Any]:
        """What is known about the run; {} for a folder without a status."""
        return read_json(self.status_path)

    def write_status(self, state: str, **facts: Any) -> None:
        """Note that the run is queued, running, done, pruned, failed or killed; facts noted earlier stay."""
        status = self.read_status()
        for stale in ("reason", "traceback"):
            status.pop(stale, None)
        write_json(self.status_path, {**status, "state": state, **facts, "updated": now()})

    def read_results(self) -> dict[str, Any]:
        """The final numbers; {} while there are none."""
        return read_json(self.results_path)

    def write_results(self, results: dict[str, Any]) -> None:
        """All final numbers as JSON; a number that is not finite becomes null."""
        write_json(self.results_path, results)

    def is_done(self, fingerprint: str) -> bool:
        """Whether exactly this training is finished here."""
        status = self.read_status()
        return status.get("state") == "done" and status.get("fingerprint") == fingerprint and self.results_path.exists()

    @contextmanager
    def lock(self) -> Iterator[int | None]:
        """Hold the folder while training in it. Gives None, or the pid (0: unknown) of the process that holds it."""
        with locked(self.lock_path) as holder:
            yield holder

    def holder(self) -> int | None:
        """The pid of the process that is training here now (0: unknown), or None."""
        return holder_of(self.lock_path)

    def ask_to_end(self, reason: str) -> None:
        """Have the process that trains here end before its time; the run is then "pruned", for this reason."""
        write_text(self.end_path, reason)

    def asked_to_end(self) -> str | None:
        """The reason for which the training should end now, or None."""
        try:
            return self.end_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


_held: set[Path] = set()  # locks of this process: opening such a file once more would drop its lock


def holder_of(path: Path) -> int | None:
    """The pid of the process that holds the lock of a file (0: unknown), or None."""
    if path.resolve() in _held:
        return os.getpid()
    if not path.exists():
        return None
    with locked(path, shared=True) as holder:
        return holder


@contextmanager
def locked(path: Path, wait: bool = False, shared: bool = False) -> Iterator[int | None]:
    """Lock a file while the block runs. Gives None when the lock is ours, or the pid (0: unknown) that has it.

    A POSIX record lock: the system drops it when the process dies, kill -9 included, and the loader's forked workers
    do not inherit it (with flock an orphaned worker would keep a dead run locked).
    """
    if posix is None:
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        if not _take(file, wait, shared):
            file.seek(0)
            pid = file.read().strip()
            yield int(pid) if pid.isdigit() else 0
            return
        if shared:
            yield None
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _held.add(path.resolve())
        try:
            yield None
        finally:
            _held.discard(path.resolve())


def _take(file: Any, wait: bool, shared: bool) -> bool:
    """Whether the lock was to be had; a holder who only looks in is given a second to leave."""
    kind = posix.LOCK_SH if shared else posix.LOCK_EX
    if wait:
        posix.lockf(file, kind)
        return True
    for attempt in range(1 if shared else 5):
        try:
            posix.lockf(file, kind | posix.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            time.sleep(0.0 if shared else 0.05 * (attempt + 1))
    return False


def slug(overrides: list[str], keep_seed: bool = False) -> str:
    """A folder name for these choices: ["head=76", "attention=cbam"] -> "attention-cbam__head-76".

    Sorted by key; only letters, digits and `._-`; at most 120 characters. What does not change the training (seed,
    study, logger, ...) is left out. A hash tail keeps two names apart when characters had to go.
    """
    parts: list[tuple[str, str, bool]] = []
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+")
        if not counts(key) and not (keep_seed and key == "seed"):
            continue
        key_text = ("drop-" + key[1:] if key.startswith("~") else key).replace("/", ".")
        text = f"{key_text}-{value}" if value else key_text
        clean = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
        parts.append((key, clean, clean != text))
    if not parts:
        return "default"
    parts.sort()
    name = "__".join(clean for _, clean, _ in parts).lstrip(".")
    if len(name) > MAX_SLUG or any(lossy for _, _, lossy in parts):
        tail = digest(sorted(overrides))[:8]
        name = f"{name[: MAX_SLUG - 9]}-{tail}"
    return name


def counts(key: str) -> bool:
    """Whether an override of this key is one of the choices that name a run."""
    bare = key.lstrip("+~").split("@")[0].replace("/", ".")
    return not any(bare == silent or bare.startswith(silent + ".") for silent in NOT_IN_SLUG)


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
    for dotted in NOT_SCIENCE_KEYS:
        group, _, name = dotted.partition(".")
        if isinstance(science.get(group), dict):
            science[group].pop(name, None)
    if isinstance(science.get("trainer"), dict):
        science["trainer"] = _with_ranks(science["trainer"])
    return science


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
    text = json.dumps(_plain(groups))
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
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()


def network_digest(config: Mapping[str, Any]) -> str:
    """Which network a resolved configuration describes: seeds, losses and data apart."""
    model = config["model"]
    return digest([model.get("network", model), config["num_classes"]])[:16]


def now() -> str:
    """The time as ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from disk; {} when there is no such file. Raises LightdetError for a broken one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise LightdetError(f"{path}: not readable as JSON ({error}); delete it or its run folder") from None
    return value if isinstance(value, dict) else {}


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics.csv, one per epoch; [] where there is none. An empty string: not measured in that epoch."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object so that a reader sees the old file or the whole new one, whenever the writer dies."""
    write_text(path, json.dumps(_plain(value, numbers=False), indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; missing folders are made."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _plain(value: Any, numbers: bool = True) -> Any:
    """JSON's own types: arrays and tensors become lists, not-finite becomes None, 2.0 becomes 2 if `numbers`."""
    if isinstance(value, dict):
        return {str(key): _plain(item, numbers) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, numbers) for item in value]
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        return int(value) if numbers and value.is_integer() else value
    if value is None or isinstance(value, str | int):
        return value
    if hasattr(value, "tolist"):  # numpy and torch, arrays and scalars
        return _plain(value.tolist(), numbers)
    return str(value)
