"""What a package or an exported file tells of the run that it comes from: its scores, its data and its making."""

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from omegaconf import OmegaConf

from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json
from lightdet.engine.load import LoadedRun
from lightdet.nn.inputs import in_channels
from lightdet.ops.grid import plain_size
from lightdet.runs.contract import PLACING, ids_digest
from lightdet.runs.folder import RunFolder
from lightdet.runs.promise import KEY
from lightdet.runs.scores import scores_of, task_of
from lightdet.runs.trained_scale import KEY as SCALE

# From the root of a disk, a home or a share up to the last name: /home/me/steel, ~/steel, C:\data\steel, file:///steel
ABSOLUTE = re.compile(r"""(?<![^\s=\[({,:'"])(?:file:|~|[A-Za-z]:)?[/\\]+(?:[^\s,'"\])}/\\]+[/\\]+)*""")


def without_paths(text: str) -> str:
    """The text with no more than the last name of every absolute path: "root=/data/steel" -> "root=.../steel"."""
    return ABSOLUTE.sub(".../", text)


def require_results(run: RunFolder) -> dict[str, Any]:
    """The run's results. Raises LightdetError for a run that has none."""
    results = run.read_results()
    if not isinstance(results.get("metrics"), dict):
        state = run.read_status().get("state", "not trained")
        raise LightdetError(f"{run.path}: this run is {state} and has no results to pass on; end its training first")
    return results


def told_of(run: RunFolder, results: Mapping[str, Any], loaded: LoadedRun, licence: str | None) -> dict[str, Any]:
    """What the contracts of packages and of exported files have in common. `licence`: the terms for others."""
    config = loaded.config
    split = "train" if OmegaConf.select(config, "trainer.overfit_batches") else "val"
    return {
        "task": task_of(run),
        "licence": licence,
        "classes": list(loaded.classes),
        KEY: None if loaded.promise is None else loaded.promise.as_json(),
        SCALE: None if loaded.scale is None else loaded.scale.as_json(),
        "input": {
            "image_size": plain_size(loaded.image_size),
            "channels": in_channels(loaded.model.network),
            "bits": OmegaConf.select(config, "data.bits"),
            **PLACING,
        },
        "measured": measured(run, results, split),
        "titles": {score.key: score.title for score in scores_of(run)},
        "model": {
            "options": options_of(run),
            "parameters": sum(parameter.numel() for parameter in loaded.model.network.parameters()),
        },
        "hashes": hashes_of(run),
        "provenance": {**made_by(run), "seed": config.seed, "epoch": loaded.epoch},
    }


def measured(run: RunFolder, results: Mapping[str, Any], split: str) -> dict[str, Any]:
    """Its declared scores on the split that chose the checkpoint and, where there is one, on the test split."""
    sizes = {name: len(ids) for name, ids in _splits(run).items()}
    test = results.get("test")
    found = {split: results["metrics"], "test": test.get("metrics") if isinstance(test, dict) else None}
    return {
        name: {"images": sizes.get(name), **_numbers(run, metrics)}
        for name, metrics in found.items()
        if isinstance(metrics, dict)
    }


def hashes_of(run: RunFolder) -> dict[str, Any]:
    """The run's fingerprint, and a hash of the image ids of each split."""
    splits = {name: ids_digest(ids) for name, ids in _splits(run).items()}
    return {"run": str(run.read_status().get("fingerprint", "")), "splits": splits}


def made_by(run: RunFolder) -> dict[str, Any]:
    """Study, row, date and command of the run, without a path of this machine."""
    status = run.read_status()
    overrides = status.get("overrides")
    return {
        "study": status.get("study"),
        "row": status.get("slug"),
        "trained": status.get("finished") or status.get("updated"),
        "overrides": [without_paths(str(word)) for word in overrides] if isinstance(overrides, list) else [],
        "exported_with": {"lightdet": version("lightdet"), "torch": version("torch")},
    }


def options_of(run: RunFolder) -> dict[str, Any]:
    """The chosen option of each group, and the plain values beside them: {"model": "light", "neck": "pafpn", ...}."""
    choices = run.read_status().get("choices")
    chosen = choices if isinstance(choices, dict) else {}
    return {key: without_paths(value) if isinstance(value, str) else value for key, value in chosen.items()}


def _splits(run: RunFolder) -> dict[str, list[str]]:
    found = read_json(run.path / "splits.json")
    return {name: [str(each) for each in ids] for name, ids in found.items() if isinstance(ids, list)}


def _numbers(run: RunFolder, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The declared scores, those of each class, and the numbers at the threshold."""
    scores = scores_of(run)
    per_class = metrics.get("per_class") or {}
    wanted = [score.key for score in scores if score.per_class]
    return {
        "scores": {score.key: metrics.get(score.key) for score in scores if not score.per_class},
        "per_class": {name: {key: numbers.get(key) for key in wanted} for name, numbers in per_class.items()},
        "operating_point": metrics.get("operating_point"),
    }
