"""Lightning's trainer of a run, from the configuration's `trainer`."""

import sys
from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from lightdet.callback.best_checkpoint import BestCheckpoint
from lightdet.callback.checkpoint_by_time import CheckpointByTime
from lightdet.callback.early_stopping import EarlyStopping
from lightdet.callback.ema import Ema
from lightdet.callback.end_on_request import EndOnRequest
from lightdet.callback.estimate import Estimate
from lightdet.callback.heartbeat import Heartbeat
from lightdet.callback.metrics_csv import MetricsCsv
from lightdet.callback.progress import EpochBar, EpochLines
from lightdet.config.settings import demand_choice
from lightdet.core.errors import LightdetError
from lightdet.core.score import Monitor, Score
from lightdet.distributed.callbacks import EndAtSigterm, SharedBuffers
from lightdet.distributed.cluster import Cluster
from lightdet.distributed.shared_norms import SharedNorms
from lightdet.distributed.world import World
from lightdet.optim.precision import Choice
from lightdet.runs.folder import LAST, RunFolder
from lightdet.task.checkpoint_io import WholeCheckpoints

NEVER_BY_STEP = 10**9


def pick_device(name: str) -> torch.device:
    """The device of this name; "auto": cuda where there is one, else the CPU. Raises LightdetError for one that
    this machine lacks."""
    demand_choice("trainer.device", name)
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if here["cuda"] else "cpu"
    if not here[name]:
        raise LightdetError(f"trainer.device={name}: torch sees no such device here; take auto or cpu")
    return torch.device(name)


def build_trainer(
    settings: DictConfig,
    folder: RunFolder,
    device: torch.device,
    choice: Choice,
    loggers: Sequence[Logger],
    monitor: Monitor,
    scores: Sequence[Score],
    world: World | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> pl.Trainer:
    """The trainer of one run, or of one of its ranks, described by `world`.

    `settings` is the configuration's `trainer`; `monitor` is the score that it names, one of the model's `scores`;
    `callbacks` run before the built-in ones.
    """
    world = world or World()
    together = world.ranks > 1
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=settings.devices if together else 1,
        num_nodes=settings.nodes if together else 1,
        # The ranks have joined their group already, and their buffers are shared by a callback.
        strategy=DDPStrategy(broadcast_buffers=False) if together else "auto",
        plugins=[
            Cluster(world),
            WholeCheckpoints(),
            *([SharedNorms()] if together and shares_batchnorm(settings, device) else []),
        ],
        precision=choice.precision,  # type: ignore[arg-type]  # both names are among Lightning's literals
        max_epochs=settings.max_epochs,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip_norm,
        limit_train_batches=settings.limit_train_batches,
        limit_val_batches=settings.limit_val_batches,
        overfit_batches=settings.overfit_batches,
        check_val_every_n_epoch=settings.validate_every,
        callbacks=[
            *callbacks,
            *([SharedBuffers(), EndAtSigterm()] if together else []),
            *_callbacks(settings, folder, monitor, scores),
        ],
        logger=list(loggers) or False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=_wants_bar(settings.progress),
        log_every_n_steps=NEVER_BY_STEP,
        deterministic=True if device.type == "cpu" else "warn",
        default_root_dir=folder.path,
        use_distributed_sampler=False,
    )


def shares_batchnorm(settings: DictConfig, device: torch.device) -> bool:
    """Whether BatchNorm takes its statistics from the batch of all ranks; auto: where torch can, which is on CUDA.

    Raises LightdetError where it is requested and not available.
    """
    wanted = settings.sync_batchnorm
    demand_choice("trainer.sync_batchnorm", wanted)
    if wanted is True and device.type != "cuda":
        raise LightdetError(f"trainer.sync_batchnorm=true: torch has it for cuda, not for {device.type}; take auto")
    return device.type == "cuda" if wanted == "auto" else bool(wanted)


def _callbacks(settings: DictConfig, folder: RunFolder, monitor: Monitor, scores: Sequence[Score]) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = [
        Ema(settings.ema_decay, settings.ema_ramp_steps),
        MetricsCsv(folder.metrics_csv),
        Heartbeat(folder, monitor),
        EndOnRequest(folder),
        BestCheckpoint(folder.checkpoints, "best", monitor),
        ModelCheckpoint(
            folder.checkpoints,
            filename="last",
            every_n_epochs=1,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
        CheckpointByTime(folder.checkpoints / LAST, settings.checkpoint_seconds),
    ]
    if settings.patience is not None:
        callbacks.append(EarlyStopping(monitor, settings.patience))
    if settings.progress != "none":
        callbacks.append(Estimate())
        callbacks.append(EpochBar(leave=True) if _wants_bar(settings.progress) else EpochLines(scores))
    return callbacks


def _wants_bar(progress: str) -> bool:
    demand_choice("trainer.progress", progress)
    return progress == "bar" or (progress == "auto" and sys.stdout.isatty())
