"""One training from a composed configuration to its results on disk."""

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.loggers import Logger

from lightdet.config.tree import resolve
from lightdet.core.files import read_json, write_json, write_text
from lightdet.data.module import ImageData
from lightdet.data.record import doubts_of
from lightdet.distributed.ranks import follow, rank_count, rank_zero
from lightdet.distributed.world import World
from lightdet.doctor.examine import quick_check
from lightdet.draw.curves import plot_training
from lightdet.engine.callbacks import build_callbacks
from lightdet.engine.evaluate import evaluate
from lightdet.engine.few_steps import few_steps
from lightdet.engine.load import BEST, LAST, build_detector, load_weights
from lightdet.engine.settings import check_monitor, check_settings
from lightdet.engine.weights import start_from
from lightdet.engine.work import named
from lightdet.logger.run_logger import build_loggers
from lightdet.metric.detection_scores import DETECTION_SCORES, TASK
from lightdet.metric.footprint import footprint
from lightdet.model.detector import Detector
from lightdet.nn.inputs import check_channels
from lightdet.optim.precision import Choice, choose, idle_in_float32
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import scores_of, write_scores
from lightdet.task.detection import DetectionTask
from lightdet.task.trainer import build_trainer, pick_device, shares_batchnorm


def train(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Train what the configuration describes into `folder`, going on from its last checkpoint if there is one.

    Returns the results: "metrics" (best checkpoint, validation set), "best_epoch" and "epochs", "footprint",
    "seconds" (of this process), "classes", "precision". Raises LightdetError for data, settings or a loss that
    cannot be trained with. A model whose `training` names a function, as module:function, is trained by that one.
    """
    if "training" in cfg.model:
        return named(cfg.model.training)(cfg, folder)
    began = time.monotonic()
    check_settings(cfg)
    callbacks = build_callbacks(cfg)
    device = pick_device(cfg.trainer.device)
    ranks = rank_count(cfg.trainer, device)
    if ranks > 1:
        shares_batchnorm(cfg.trainer, device)
    resumes = (folder.checkpoints / LAST).exists()
    start = folder.start_path if cfg.get("weights") and not resumes else None
    data, detector, fitted = _build(cfg, device, weights_come=resumes, start=start)
    folder.beat()
    data.check_ranks(ranks)
    labels = {label for record in data.records[measured_split(cfg)] for label in record.labels.tolist()}
    check_monitor(cfg.trainer.monitor, [data.classes[label] for label in sorted(labels)])
    for warning in (*doubts_of(data.reader), *quick_check(data.records, data.classes, cfg.image_size)):
        print(f"  data       {warning}")
    folder.beat()
    choice = _precision(cfg, device, folder)
    folder.beat()
    cost = footprint(detector.network, cfg.image_size)
    settled = write_config(cfg, data, folder)
    write_scores(folder, TASK, DETECTION_SCORES)
    _announce(cfg, data, detector, cost, (fitted, f"{device.type}, {choice}"), folder)
    trackers = build_loggers(settled, folder)
    with rank_zero(cfg.trainer, device, folder.path, _plan(settled, device, choice)) as place:
        trainer = _fit(cfg, folder, data, detector, (device, choice, place), trackers, callbacks)
    best_epoch = load_weights(detector, folder.checkpoints / BEST)
    split = measured_split(cfg)
    few = int(trainer.num_training_batches) if cfg.trainer.overfit_batches else None
    batches = islice(data.loader(split), few)
    records = data.records[split][: few and few * data.batch_size]
    metrics = evaluate(detector.to(device), folder.beating(batches), data.classes, records, folder.path, device)
    folder.beat()
    plot_training(folder.metrics_csv, folder.path / "training.png", scores_of(folder))
    results = {
        "metrics": metrics,
        "best_epoch": best_epoch,
        "epochs": trainer.current_epoch,
        "footprint": cost,
        "seconds": time.monotonic() - began,
        "classes": list(data.classes),
        "precision": str(choice),
    }
    for tracker in trackers:
        tracker.log_results(results)
    return results


def measured_split(cfg: DictConfig) -> str:
    """With few batches a detector is measured on what it was taught, and on nothing else."""
    return "train" if cfg.trainer.overfit_batches else "val"


def train_beside(place: World, path: Path) -> int:
    """Train as one of the ranks of the run at `path`, other than 0, which says how; returns the exit code.

    Writes nothing but a batch whose loss broke.
    """

    def prepare(plan: str) -> tuple[torch.device, Callable[[], None]]:
        cfg = OmegaConf.create(plan)
        assert isinstance(cfg, DictConfig)
        device = pick_device(cfg.trainer.device)
        rank_count(cfg.trainer, device)
        callbacks = build_callbacks(cfg)
        data, detector, _ = _build(cfg, device, weights_come=True)
        way = (device, choose(device, cfg.trainer.precision, cfg.trainer.channels_last), place)

        def work() -> None:
            _fit(cfg, RunFolder(path), data, detector, way, (), callbacks)

        return device, work

    return follow(place, prepare)


def _plan(settled: DictConfig, device: torch.device, choice: Choice) -> str:
    """What the other ranks are told: the resolved configuration with everything that rank 0 has decided."""
    decided = {"device": device.type, "precision": choice.precision, "channels_last": choice.channels_last}
    trainer = {**settled.trainer, **decided, "progress": "none"}
    return OmegaConf.to_yaml(OmegaConf.create({**settled, "trainer": trainer, "logger": None}))


def _build(
    cfg: DictConfig, device: torch.device, weights_come: bool, start: Path | None = None
) -> tuple[ImageData, Detector, str]:
    """The data, the detector with its first weights, and what fitted it to the data; the same in every rank.

    `weights_come`: from a checkpoint or, for the ranks beside it, from rank 0; pretrained ones are then not fetched,
    nor are they where `start` names a checkpoint to start from.
    """
    _quiet()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # saves a pass per map
    data: ImageData = instantiate(cfg.data, _convert_="all")
    data.cache_megabytes //= cfg.trainer.devices
    data.setup("fit")
    detector = build_detector(cfg, data.num_classes, fetch=not weights_come and start is None)
    check_channels(detector.network, data.channels)
    if start is not None:
        print(f"  weights    {start_from(detector, start, cfg.weights.file)}", flush=True)
    if device.type == "cpu":
        idle_in_float32(detector.network, data.trained_size)
    return data, detector, detector.fit_to(data.facts())


def _fit(
    cfg: DictConfig,
    folder: RunFolder,
    data: ImageData,
    detector: Detector,
    way: tuple[torch.device, Choice, World],
    loggers: Sequence[Logger],
    callbacks: Sequence[pl.Callback],
) -> pl.Trainer:
    """Train the detector, from the last checkpoint where there is one; every rank does this."""
    device, choice, place = way
    data.channels_last = choice.channels_last
    if choice.channels_last:
        detector = detector.to(memory_format=torch.channels_last)
    trainer = build_trainer(cfg.trainer, folder, device, choice, loggers, place, callbacks)
    task = DetectionTask(
        detector, data.classes, instantiate(cfg.optimizer, _convert_="all"), instantiate(cfg.schedule), folder.path
    )
    last = folder.checkpoints / LAST
    try:
        trainer.fit(task, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    except SystemExit:  # what Lightning makes of Ctrl-C
        if not trainer.interrupted:
            raise
    if trainer.interrupted:
        raise KeyboardInterrupt
    return trainer


def _precision(cfg: DictConfig, device: torch.device, folder: RunFolder) -> Choice:
    """Number format and layout of a run, by rule; a run that is resumed, on whichever machine, keeps its first ones."""
    kept = folder.path / "precision.json"
    known = read_json(kept)
    if known:
        return Choice(known["precision"], known["channels_last"])
    choice = choose(device, cfg.trainer.precision, cfg.trainer.channels_last)
    write_json(kept, asdict(choice))
    return choice


def write_config(cfg: DictConfig, data: ImageData, folder: RunFolder) -> DictConfig:
    """The resolved configuration with what only the data could tell: from it alone the detector is built again."""
    filled = cfg.copy()
    with open_dict(filled):
        filled.num_classes = data.num_classes
        filled.classes = list(data.classes)
    settled = OmegaConf.create(resolve(filled))
    write_text(folder.config_path, OmegaConf.to_yaml(settled))
    splits = {name: [record.image_id for record in records] for name, records in data.records.items()}
    write_json(folder.path / "splits.json", splits)
    return settled


def _announce(
    cfg: DictConfig,
    data: ImageData,
    detector: Detector,
    cost: dict[str, float],
    notes: tuple[str, str],
    folder: RunFolder,
) -> None:
    """What will be trained, before the first step."""
    counts = ", ".join(f"{len(records)} {name}" for name, records in data.records.items())
    fitted, machine = notes
    print(f"  model      {cost['parameters']:,} parameters, {cost['gflops']:.2f} GFLOPs at {cfg.image_size} px")
    print(f"  attention  {detector.placement()}")
    print(f"  data       {counts} images, {data.num_classes} classes; {fitted}")
    print(f"  training   {cfg.trainer.max_epochs} epochs on {machine}, {batch_text(cfg)}, seed {cfg.seed}")
    if line := few_steps(cfg, len(data.records["train"])):
        print(f"  steps      {line}")
    print(f"  folder     {folder.path}", flush=True)


def batch_text(cfg: DictConfig) -> str:
    """How many images an optimizer step sees, and how they are shared: "batch 32 (2 batches x 2 ranks x 8)"."""
    ranks, batches = cfg.trainer.devices * cfg.trainer.nodes, cfg.trainer.accumulate
    factors = [f"{batches} batches"] * (batches > 1) + [f"{ranks} ranks"] * (ranks > 1)
    shares = f" ({' x '.join([*factors, str(cfg.data.batch_size // ranks)])})" if factors else ""
    return f"batch {cfg.data.batch_size * batches}{shares}"


def _quiet() -> None:
    """Lightning's advertisements, and its advice that does not apply here."""
    for name in ("pytorch_lightning", "lightning.pytorch", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for told in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*log_every_n_steps.*",
        ".*treespec.*",
        ".*sync_dist=True.*",  # what every rank logs alike needs no mean
        ".*Grad strides do not match bucket view strides.*",
        ".*broadcast_buffers. is deprecated.*",  # its successor is younger than the oldest torch that is allowed
        ".*`srun` command is available.*",
    ):
        warnings.filterwarnings("ignore", told)
