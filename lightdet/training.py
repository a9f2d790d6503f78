"""One training from a composed configuration to its results on disk."""

import copy
import logging
import platform
import time
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from lightdet.data.doctor import quick_check
from lightdet.data.module import DetectionData
from lightdet.error import LightdetError
from lightdet.evaluate import evaluate
from lightdet.load import BEST, LAST, build_detector, load_weights
from lightdet.logger.run_logger import build_logger
from lightdet.metric.footprint import footprint
from lightdet.model.detector import Detector
from lightdet.ops.grid import STRIDES
from lightdet.optim.precision import Choice, candidates, fastest
from lightdet.paths import cache_folder
from lightdet.report.curves import plot_training
from lightdet.run import RunFolder, digest, read_json, resolve, write_json, write_text
from lightdet.task.detection import DetectionTask
from lightdet.task.trainer import build_trainer, pick_device

MEASURED_BATCH = 8  # images in the measurement that chooses a precision


def train(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Train what the configuration describes into `folder`, going on from its last checkpoint if there is one.

    Returns the results: "metrics" (best checkpoint, validation set), "best_epoch" and "epochs", "footprint",
    "seconds" (of this process), "classes", "precision". Raises LightdetError for data, settings or a loss that
    cannot be trained with.
    """
    began = time.monotonic()
    _quiet()
    check_image_size(cfg.image_size)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # saves a pass per map
    data: DetectionData = instantiate(cfg.data, _convert_="all")
    data.setup("fit")
    for warning in quick_check(data.records, data.classes, cfg.image_size):
        print(f"  data       {warning}")
    detector = build_detector(cfg, data.num_classes)
    fitted = detector.fit_to(data.facts())
    device = pick_device(cfg.trainer.device)
    choice = _choose_precision(cfg, detector, device, folder)
    cost = footprint(detector.network, cfg.image_size)
    write_config(cfg, data, folder)
    _announce(cfg, data, detector, cost, (fitted, f"{device.type}, {choice}"), folder)
    if choice.channels_last:
        detector = detector.to(memory_format=torch.channels_last)
    tracker = build_logger(cfg, folder)
    trainer = build_trainer(cfg.trainer, folder, device, choice, tracker or False)
    task = DetectionTask(
        detector, data.classes, instantiate(cfg.optimizer, _convert_="all"), instantiate(cfg.schedule), folder.path
    )
    last = folder.checkpoints / LAST
    trainer.fit(task, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    best_epoch = load_weights(detector, folder.checkpoints / BEST)
    split = "train" if cfg.trainer.overfit_batches else "val"
    metrics = evaluate(detector.to(device), data.loader(split), data.classes, data.records[split], folder.path, device)
    plot_training(folder.metrics_csv, folder.path / "training.png")
    results = {
        "metrics": metrics,
        "best_epoch": best_epoch,
        "epochs": trainer.current_epoch,
        "footprint": cost,
        "seconds": time.monotonic() - began,
        "classes": list(data.classes),
        "precision": str(choice),
    }
    if tracker is not None:
        tracker.log_results(results, folder)
    return results


def check_image_size(image_size: int) -> None:
    """Raises LightdetError for an input that the coarsest grid does not divide."""
    coarsest = STRIDES[-1]
    if not isinstance(image_size, int) or image_size < coarsest or image_size % coarsest:
        near = max(coarsest, round(float(image_size) / coarsest) * coarsest)
        raise LightdetError(f"image_size={image_size}: must be a multiple of {coarsest}; the nearest is {near}")


def _choose_precision(cfg: DictConfig, detector: Detector, device: torch.device, folder: RunFolder) -> Choice:
    """Measured once per machine, input and settings, then remembered: rows that are compared train alike."""
    choices = candidates(device, cfg.trainer.precision, cfg.trainer.channels_last)
    if len(choices) == 1:
        return choices[0]
    asked = {
        "machine": [platform.processor(), platform.machine(), torch.__version__, torch.get_num_threads(), str(device)],
        "image_size": cfg.image_size,
        "choices": [str(choice) for choice in choices],
    }
    memory = cache_folder() / "precision" / f"{digest(asked)[:16]}.json"
    of_run = folder.path / "precision.json"
    remembered = read_json(of_run) or read_json(memory)
    if not remembered:
        network = copy.deepcopy(detector.network).to(device)
        images = torch.rand(MEASURED_BATCH, 3, cfg.image_size, cfg.image_size, device=device)
        choice, times = fastest(network, images, choices)
        remembered = {"precision": choice.precision, "channels_last": choice.channels_last, "milliseconds": times}
        write_json(memory, remembered)
    write_json(of_run, remembered)
    return Choice(remembered["precision"], remembered["channels_last"])


def write_config(cfg: DictConfig, data: DetectionData, folder: RunFolder) -> None:
    """The resolved configuration with what only the data could tell: from it alone the detector is built again."""
    filled = cfg.copy()
    with open_dict(filled):
        filled.num_classes = data.num_classes
        filled.classes = list(data.classes)
    write_text(folder.config_path, OmegaConf.to_yaml(OmegaConf.create(resolve(filled))))
    splits = {name: [record.image_id for record in records] for name, records in data.records.items()}
    write_json(folder.path / "splits.json", splits)


def _announce(
    cfg: DictConfig,
    data: DetectionData,
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
    print(f"  training   {cfg.trainer.max_epochs} epochs on {machine}, seed {cfg.seed}")
    print(f"  folder     {folder.path}", flush=True)


def _quiet() -> None:
    """Lightning's advertisements, and its advice that does not apply here."""
    for name in ("pytorch_lightning", "lightning.pytorch", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for told in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*log_every_n_steps.*",
        ".*treespec.*",
    ):
        warnings.filterwarnings("ignore", told)
