"""The fit of a training, which all of its ranks do together."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from lightdet.config.trust import check_trusted
from lightdet.distributed.ranks import follow, rank_count
from lightdet.distributed.world import World
from lightdet.engine.build import Parts, build
from lightdet.engine.callbacks import build_callbacks
from lightdet.engine.distillation import distillations
from lightdet.engine.load import LAST
from lightdet.optim.precision import Choice, choose
from lightdet.runs.folder import RunFolder
from lightdet.task.trainer import build_trainer, pick_device
from lightdet.task.training_task import TrainingTask


def fit(
    cfg: DictConfig,
    folder: RunFolder,
    parts: Parts,
    setup: tuple[torch.device, Choice, World],
    loggers: Sequence[Logger],
    callbacks: Sequence[pl.Callback],
) -> pl.Trainer:
    """Trains the model, from the last checkpoint where there is one. Raises LightdetError for a loss that breaks."""
    device, choice, world = setup
    data, model = parts.data, parts.model
    data.channels_last = choice.channels_last
    if choice.channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer, schedule = instantiate(cfg.optimizer, _convert_="all"), instantiate(cfg.schedule)
    task = TrainingTask(model, data.classes, optimizer, schedule, folder.path, distillations(cfg, model, data.classes))
    scores = task.metric.scores
    trainer = build_trainer(cfg.trainer, folder, device, choice, loggers, parts.monitor, scores, world, callbacks)
    last = folder.checkpoints / LAST
    try:
        trainer.fit(task, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    except SystemExit:  # what Lightning makes of Ctrl-C
        if not trainer.interrupted:
            raise
    if trainer.interrupted:
        raise KeyboardInterrupt
    return trainer


def plan_of(settled: DictConfig, device: torch.device, choice: Choice) -> str:
    """What rank 0 sends to the other ranks, as YAML: the resolved configuration, with device and precision chosen."""
    decided = {"device": device.type, "precision": choice.precision, "channels_last": choice.channels_last}
    trainer = {**settled.trainer, **decided, "progress": "none"}
    return OmegaConf.to_yaml(OmegaConf.create({**settled, "trainer": trainer, "logger": None}))


def train_beside(world: World, path: Path, trust_modules: bool = False) -> int:
    """Trains as a rank other than 0 of the run at `path`, with the plan that rank 0 sends; returns the exit code.

    Writes nothing but a batch whose loss broke. The plan is checked as a file is: a process that rank 0 started trusts
    what its command composed, one that was started from outside needs `trust_modules` for code outside lightdet.
    """

    def prepare(plan: str) -> tuple[torch.device, Callable[[], None]]:
        cfg = OmegaConf.create(plan)
        assert isinstance(cfg, DictConfig)
        check_trusted(cfg, "the plan of rank 0", trust_modules)
        device = pick_device(cfg.trainer.device)
        rank_count(cfg.trainer, device)
        callbacks = build_callbacks(cfg)
        parts = build(cfg, device, weights_follow=True)
        setup = (device, choose(device, cfg.trainer.precision, cfg.trainer.channels_last), world)

        def work() -> None:
            fit(cfg, RunFolder(path), parts, setup, (), callbacks)

        return device, work

    return follow(world, prepare)
