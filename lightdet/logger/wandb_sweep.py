"""When a W&B agent asks for a training that is done already. No torch at the top: most of the time nothing is to do."""

import os

from omegaconf import DictConfig

from lightdet.runs.folder import RunFolder


def answer_agent(cfg: DictConfig, folder: RunFolder) -> None:
    """Give the agent's run the final numbers of the finished training in `folder`, or its search would lack them.

    Nothing happens outside of a W&B sweep (no WANDB_SWEEP_ID) and where `logger` has no wandb.
    """
    option = (cfg.get("logger") or {}).get("wandb")
    if not os.environ.get("WANDB_SWEEP_ID") or not option:
        return
    from lightdet.logger.run_logger import build_logger

    logger = build_logger("wandb", option, cfg, folder)
    logger.log_results(folder.read_results())
    logger.finish()
