"""One training from a composed configuration to its results on disk."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from lightdet.config.settings import check_settings
from lightdet.config.tree import resolve
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json, write_text
from lightdet.core.named import named
from lightdet.core.score import logged
from lightdet.core.shown import shown
from lightdet.core.types import Batch
from lightdet.data.module import ImageData
from lightdet.data.record import Record, doubts_of
from lightdet.distributed.ranks import rank_count, rank_zero
from lightdet.doctor.examine import quick_check
from lightdet.draw.attempt import attempt
from lightdet.draw.curves import plot_training
from lightdet.engine.announce import announce
from lightdet.engine.build import Parts, build, validation_split
from lightdet.engine.callbacks import build_callbacks
from lightdet.engine.evaluate import draw, evaluate, measure, write_numbers
from lightdet.engine.finish import finish, keep_untrained, write_only_row
from lightdet.engine.fit import fit, plan_of
from lightdet.engine.load import load_weights
from lightdet.engine.tiled import scale_of_data
from lightdet.logger.run_logger import build_loggers
from lightdet.metric.contract import Metric
from lightdet.metric.footprint import footprint
from lightdet.optim.precision import HALF, PLAIN, Choice, choose
from lightdet.runs.folder import BEST, LAST, RunFolder
from lightdet.runs.scores import write_results, write_scores
from lightdet.runs.trained_scale import write_scale
from lightdet.task.trainer import pick_device, shares_batchnorm

WIDTHS = "widths.json"  # of the layers of a run that was pruned
COMPRESSION = "compression.json"  # how they were chosen, and what was measured for it


def train(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Trains what the configuration describes into `folder`, from its last checkpoint on if there is one.

    Returns the results: "metrics" (best checkpoint, validation set), "test" with its "metrics" where the dataset has a
    test split, "best_epoch" and "epochs", "footprint", "seconds" (of this process), "classes", "precision"; they are
    on disk before anything is drawn. Raises LightdetError for data, settings or a loss that cannot be trained with. A
    model whose `training` names a function, as module:function, is trained by that one.
    """
    if "training" in cfg.model:
        results: dict[str, Any] = named(cfg.model.training)(cfg, folder)
        return results
    began = time.monotonic()
    check_settings(cfg)
    callbacks = build_callbacks(cfg)
    device = pick_device(cfg.trainer.device)
    ranks = rank_count(cfg.trainer, device)
    if ranks > 1:
        shares_batchnorm(cfg.trainer, device)
    resumes = (folder.checkpoints / LAST).exists()
    start = folder.start_path if cfg.get("weights") and not resumes else None
    kept = folder.path / WIDTHS
    if resumes and kept.exists():
        set_widths(cfg, read_json(kept))
    chosen = folder.path / COMPRESSION
    parts = build(cfg, device, weights_follow=resumes, start=start, known=read_json(chosen))
    data, model = parts.data, parts.model
    if parts.compression:
        write_json(chosen, dict(parts.compression))
    if parts.widths:
        write_json(kept, parts.widths)
        set_widths(cfg, parts.widths)
    folder.beat()
    data.check_ranks(ranks)
    for doubt in (*doubts_of(data.reader), *data.told):
        print(f"  data       {shown(doubt)}")
    for warning in quick_check(data.records, data.classes, cfg.image_size, model.annotation, data.group):
        print(f"  data       {shown(warning)}")
    folder.beat()
    choice = _precision(cfg, device, folder)
    folder.beat()
    cost = footprint(model.network, cfg.image_size)
    settled = write_config(cfg, data, folder)
    scores = model.metric(data.classes).scores
    write_scores(folder, model.task, scores)
    announce(cfg, parts, cost, f"{device.type}, {choice}", folder)
    trackers = build_loggers(settled, folder)
    epochs, few = 0, None
    if cfg.trainer.max_epochs:
        with rank_zero(cfg.trainer, device, folder.path, plan_of(settled, device, choice)) as world:
            trainer = fit(cfg, folder, parts, (device, choice, world), trackers, callbacks)
        epochs = trainer.current_epoch
        few = int(trainer.num_training_batches) if cfg.trainer.overfit_batches else None
    else:
        keep_untrained(model, folder.checkpoints / BEST)
    best_epoch = load_weights(model, folder.checkpoints / BEST)
    finish(parts, folder, device, cfg.seed, few)
    metric, records, measured = _measure(parts, validation_split(cfg), folder, device, few)
    if not epochs:
        row = logged(scores, measured["metrics"])
        write_only_row(row, folder)
        for tracker in trackers:
            tracker.log_metrics({"epoch": 0, **row}, 0)
    results = {
        **measured,
        "best_epoch": best_epoch,
        "epochs": epochs,
        "footprint": cost,
        "seconds": time.monotonic() - began,
        "classes": list(data.classes),
        "precision": str(choice),
    }
    write_results(folder, results)
    folder.beat()
    attempt("training.png", lambda: plot_training(folder.metrics_csv, folder.path / "training.png", scores))
    draw(measured["metrics"], metric, records, folder.path)
    for tracker in trackers:
        tracker.log_results(results)
    return results


def set_widths(cfg: DictConfig, widths: Mapping[str, Any]) -> None:
    """Puts the widths of a pruned network into the configuration from which the model is built."""
    with open_dict(cfg):
        cfg.model.widths = dict(widths)


def _measure(
    parts: Parts, split: str, folder: RunFolder, device: torch.device, few: int | None
) -> tuple[Metric, Sequence[Record], dict[str, Any]]:
    """The metric of a split, of its first `few` batches if given, with its records; its report under "metrics", and
    that of the test split under "test".

    The test split selects nothing: its counts are at the operating point of the first split.
    """
    data, model = parts.data, parts.model.to(device)

    def batches(name: str) -> Iterator[Batch]:
        return folder.beating(islice(data.loader(name), few))

    records = data.records[split][: few and few * data.batch_size]
    metric = measure(model, batches(split), data.classes, device)
    metrics = write_numbers(metric, records, folder.path)
    if few is not None or not data.records.get("test"):
        return metric, records, {"metrics": metrics}
    threshold = metrics.get("operating_point", {}).get("threshold")
    test = evaluate(model, batches("test"), data.classes, data.records["test"], None, device, threshold)
    return metric, records, {"metrics": metrics, "test": {"metrics": test}}


def _precision(cfg: DictConfig, device: torch.device, folder: RunFolder) -> Choice:
    """Number format and layout of a run, by rule; a resumed run keeps its first ones on any machine."""
    kept = folder.path / "precision.json"
    known = read_json(kept)
    if known:
        if known.get("precision") not in (PLAIN, HALF) or not isinstance(known.get("channels_last"), bool):
            raise LightdetError(f"{kept}: damaged; delete it, and the run takes the number format of this machine")
        return Choice(known["precision"], known["channels_last"])
    choice = choose(device, cfg.trainer.precision, cfg.trainer.channels_last)
    write_json(kept, asdict(choice))
    return choice


def write_config(cfg: DictConfig, data: ImageData, folder: RunFolder) -> DictConfig:
    """Writes and returns the resolved configuration with facts of the data, from which alone the model can be built."""
    filled = cfg.copy()
    with open_dict(filled):
        filled.num_classes = data.num_classes
        filled.classes = list(data.classes)
    settled = OmegaConf.create(resolve(filled))
    write_text(folder.config_path, OmegaConf.to_yaml(settled))
    splits = {name: [record.image_id for record in records] for name, records in data.records.items()}
    write_json(folder.path / "splits.json", splits)
    if (scale := scale_of_data(data)) is not None:
        write_scale(folder.path, scale)
    return settled
