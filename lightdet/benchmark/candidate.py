"""The candidates of a benchmark: presets under swept overrides, finished runs, all runs of a study, exported files."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from lightdet.config.compose import compose_config
from lightdet.config.tree import resolve
from lightdet.core.errors import LightdetError
from lightdet.engine.exported_file import exported_model
from lightdet.engine.load import build_model, load_run
from lightdet.model.contract import Model
from lightdet.model.folded import folded
from lightdet.nn.inputs import in_channels
from lightdet.nn.mode import in_mode
from lightdet.ops.grid import ImageSize, height_width, size_text
from lightdet.runs.exported import is_exported
from lightdet.runs.find import RUNS_DIR, find_model
from lightdet.runs.fingerprint import network_digest
from lightdet.runs.jobs import Job, finite, inside, read_jobs
from lightdet.runs.package import is_passed_on
from lightdet.runtime.contract import ExportContract

PLACEHOLDER_CLASSES = 6  # of a preset, which has seen no data
SMALLEST_VARIANCE = 0.02  # where a norm sees hardly any, rounding would be enlarged
PRESET_SIZE = 608  # px, of the input of a preset
SETTLING_SIZE = 128  # px, of the random images from which a preset's norms take their statistics


@dataclass(slots=True)
class Candidate:
    """A model that is measured."""

    name: str
    key: str  # of its network, see `network_digest`
    model: Model  # in eval mode, BatchNorm folded
    parameters: int
    image_size: ImageSize  # px, of the input that it is measured with
    run: str = ""  # the run folder it was read from
    image: Tensor | None = None  # (1, C, H, W) 0..1, of the run's validation set: its boxes are suppressed
    file: ExportContract | None = None  # of an exported file, which is measured in its own runtime alone

    @property
    def network(self) -> nn.Module:
        """The module from images to raw maps."""
        return self.model.network


def candidates(
    words: Sequence[str],
    image_size: ImageSize | None = None,
    config_dir: Path | None = None,
    trust_modules: bool = False,
) -> list[Candidate]:
    """`key=value` and `~key` words compose presets, with commas as in a sweep; any other word names a run, a study, a
    model package or an exported file.

    `image_size`: px; None: each run's input size, 608 for a preset. `config_dir` holds further options; `trust_modules`
    lets code outside lightdet run that a run's configuration names. Runs of one architecture and size that differ in
    weights alone are measured once. Raises LightdetError for a study without finished runs and for words that name no
    run.
    """
    overrides = [word for word in words if "=" in word or word.startswith("~")]
    runs = [word for word in words if word not in overrides]
    found = [_from_run(name, folder, image_size, trust_modules) for name, folder in _runs(runs)]
    if overrides or not runs:
        size = image_size or PRESET_SIZE
        found += [_preset(name, each, size, config_dir) for name, each in combinations(overrides)]
    unique: dict[tuple[str, bool, tuple[int, int]], Candidate] = {}
    for candidate in found:
        unique.setdefault((candidate.key, bool(candidate.run), height_width(candidate.image_size)), candidate)
    return list(unique.values())


def combinations(overrides: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Every combination of swept values, named after what differs: "proposed", "attention=cbam head=76"."""
    parsed = OverridesParser.create().parse_overrides(overrides=list(overrides))
    choices = [
        [f"{each.get_key_element()}={value}" for value in each.sweep_string_iterator()]
        if each.is_sweep_override()
        else [str(each.input_line)]
        for each in parsed
    ]
    named = []
    for words in product(*choices):
        swept = [word for word, values in zip(words, choices, strict=True) if len(values) > 1] or list(words)
        only = swept[0].partition("=")[2] if len(swept) == 1 and swept[0].startswith("model=") else ""
        named.append((only or " ".join(swept) or "default", list(words)))
    return named


def _preset(name: str, overrides: list[str], image_size: ImageSize, config_dir: Path | None) -> Candidate:
    config = compose_config([*overrides, f"image_size={image_size}"], config_dir)
    config.num_classes = PLACEHOLDER_CLASSES
    torch.manual_seed(int(config.seed))
    model = build_model(config, PLACEHOLDER_CLASSES, fetch=False)  # of a preset the weights do not matter
    settle(model.network)
    return _candidate(name, config, model, image_size)


def patches(count: int, image_size: ImageSize, channels: int = 3) -> Tensor:
    """Images (count, channels, H, W) 0..1 of random patches, as those `settle` uses."""
    return F.interpolate(torch.rand(count, channels, 4, 4), size=height_width(image_size), mode="bilinear")


def settle(network: nn.Module) -> None:
    """Give every BatchNorm the statistics of random coloured patches.

    With its initial statistics, the maps of an untrained network fade from layer to layer: there is then nothing to
    compare, and denormal numbers would slow the processor down.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad(), in_mode(True, network):
        network(patches(4, SETTLING_SIZE, in_channels(network)))
    for norm, momentum in zip(norms, usual, strict=True):
        assert norm.running_var is not None
        norm.momentum = momentum
        norm.running_var.clamp_(min=SMALLEST_VARIANCE)


def _runs(words: Sequence[str]) -> list[tuple[str, Path]]:
    """The runs that words name, each with a name for the table; a study: all its finished runs."""
    named: list[tuple[str, Path]] = []
    for word in words:
        study = next((path for path in (Path(word), RUNS_DIR / word) if (path / "jobs").is_dir()), None)
        if study is None:
            path = find_model(word)
            name = path.name if is_passed_on(path) else f"{path.parent.name}/{path.name}"
            named.append((name if name not in (other for other, _ in named) else str(path), path))
            continue
        jobs = [job for job in read_jobs(study) if job.state == "done" and not job.shared_with]
        if not jobs:
            raise LightdetError(f"{word}: a study without finished runs")
        named += [(name, study / job.run) for name, job in zip(_names(jobs), jobs, strict=True)]
    return named


def _names(jobs: Sequence[Job]) -> list[str]:
    """The choices in which the jobs of a study differ; their model where they differ in nothing but the seed."""
    keys = dict.fromkeys(key for job in jobs for key in job.choices)
    values = [{key: job.choices.get(key, job.options.get(key, "-")) for key in keys} for job in jobs]
    differing = [key for key in keys if len({each[key] for each in values}) > 1]
    if differing in ([], ["model"]):
        return [job.options.get("model", job.name) for job in jobs]
    return [" ".join(f"{key}={each[key]}" for key in differing) for each in values]


def _from_run(name: str, path: Path, image_size: ImageSize | None, trust_modules: bool) -> Candidate:
    """Of a run, a model package or an exported file."""
    if is_exported(path):
        return _file(name, path, image_size)
    loaded = load_run(path, trust_modules=trust_modules)
    size = image_size or loaded.image_size
    candidate = _candidate(name, loaded.config, loaded.model, size)
    loaded.config.data.image_size = size  # a run's configuration is resolved: the value is stored there too
    candidate.run, candidate.image = str(path), _validation_image(loaded.config)
    return candidate


def _file(name: str, path: Path, image_size: ImageSize | None) -> Candidate:
    model, contract = exported_model(path, "best", "cpu")
    size = contract.image_size
    if image_size is not None and height_width(image_size) != height_width(size):
        raise LightdetError(
            f"{path}: an exported file, which is measured at its own size, image_size={size_text(size)}"
        )
    told = contract.content.get("model", {})
    parameters = int(finite(inside(told, "parameters")) or 0)
    return Candidate(name, f"file {path}", model, parameters, size, str(path), None, contract)


def _candidate(name: str, config: DictConfig, model: Model, image_size: ImageSize) -> Candidate:
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    network = folded(model, image_size)
    return Candidate(name, network_digest(resolve(config)), network, parameters, image_size)


def _validation_image(config: DictConfig) -> Tensor | None:
    """The first validation image of a run at the size of the benchmark; None without its dataset."""
    if "reader" not in config.data:
        return None
    try:
        data: Any = instantiate(config.data, _convert_="all")
        data.setup("fit")
        images: Tensor = next(iter(data.loader("val"))).images_on("cpu")[:1]
    except (LightdetError, InstantiationException, OSError):  # Hydra's wraps the reader's own
        return None
    return images
