"""The data and the model of a training, built the same in every rank."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from lightdet.compress.contract import Compression
from lightdet.core.score import Monitor, monitor_of
from lightdet.data.module import ImageData
from lightdet.data.record import require_kind
from lightdet.engine.load import build_model
from lightdet.engine.weights import narrower_widths, start_from
from lightdet.model.contract import Model
from lightdet.nn.inputs import check_channels
from lightdet.nn.widths import Widths, changed_widths, narrow, widths_of
from lightdet.optim.precision import idle_in_float32


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a training before its first step."""

    data: ImageData
    model: Model  # with its first weights, prepared with the statistics of the training set
    prepared: str  # what that preparation did, in words
    monitor: Monitor
    widths: Widths  # of the layers that are narrower than the configuration makes them
    compression: Mapping[str, Any] = field(default_factory=dict)  # the facts of what `compress` did


def build(
    cfg: DictConfig,
    device: torch.device,
    weights_follow: bool,
    start: Path | None = None,
    known: Mapping[str, Any] = MappingProxyType({}),
) -> Parts:
    """Reads the data and builds the model for it.

    `weights_follow`: from a checkpoint or, for other ranks, from rank 0; pretrained weights are then not fetched, nor
    are they where `start` names a checkpoint to start from, whose network `compress` makes smaller, as `known` says
    where it did so before. Raises LightdetError for data or settings that cannot be trained with.
    """
    _quiet()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # saves a pass per map
    data: ImageData = instantiate(cfg.data, _convert_="all")
    data.cache_megabytes //= cfg.trainer.devices
    data.setup("fit")
    model = build_model(cfg, data.num_classes, fetch=not weights_follow and start is None)
    check_channels(model.network, data.channels)
    whole = widths_of(model.network)
    if start is not None:
        if cfg.get("compress"):
            narrow(model.network, narrower_widths(model, start))
        print(f"  weights    {start_from(model, start, cfg.weights.file)}", flush=True)
    require_kind(data.records, model.annotation)
    if device.type == "cpu":
        idle_in_float32(model.network, data.trained_size)
    prepared = model.prepare(data.training_stats())
    if start is not None and cfg.get("compress"):
        compression: Compression = instantiate(cfg.compress)
        batches = (batch.to("cpu") for batch in data.loader("train"))
        compressed = compression.compress(model, cfg.image_size, batches, known)
        print(f"  compressed {compressed.told}", flush=True)
        known = compressed.facts
    labels = {label for record in data.records[validation_split(cfg)] for label in record.labels.tolist()}
    measured = [data.classes[label] for label in sorted(labels)]
    monitor = monitor_of(cfg.trainer.monitor, model.metric(data.classes).scores, measured)
    return Parts(data, model, prepared, monitor, changed_widths(model.network, whole), known)


def validation_split(cfg: DictConfig) -> str:
    """With `trainer.overfit_batches` a model is validated on the images it is trained on, and on no others."""
    return "train" if cfg.trainer.overfit_batches else "val"


def _quiet() -> None:
    """Silences advertisements of Lightning, and advice that does not apply here."""
    for name in ("pytorch_lightning", "lightning.pytorch", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*log_every_n_steps.*",
        ".*treespec.*",
        ".*sync_dist=True.*",  # what every rank logs alike needs no mean
        ".*Grad strides do not match bucket view strides.*",
        ".*broadcast_buffers. is deprecated.*",  # its successor is younger than the oldest torch that is allowed
        ".*`srun` command is available.*",
    ):
        warnings.filterwarnings("ignore", message)
