"""Answers a W&B agent whose training is done already. Torch is imported only where there is something to answer."""

import os

from omegaconf import DictConfig

from lightdet.config.tree import without_hydra
from lightdet.runs.folder import RunFolder


def answer_agent(cfg: DictConfig, folder: RunFolder) -> None:
    """Logs the final numbers of the finished training in `folder` to the agent's run, which would otherwise lack them.

    `cfg` is as composed, with or without Hydra's section. Does nothing outside of a W&B sweep (no WANDB_SWEEP_ID) and
    where `logger` lacks wandb.
    """
    option = (cfg.get("logger") or {}).get("wandb")
    if not os.environ.get("WANDB_SWEEP_ID") or not option:
        return
    from lightdet.logger.run_logger import build_logger

    logger = build_logger("wandb", option, without_hydra(cfg), folder)
    logger.log_results(folder.read_results())
    logger.finish()
