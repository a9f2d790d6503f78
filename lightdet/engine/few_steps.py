"""Warns of a training with too few optimizer steps to learn. No torch here."""

from omegaconf import DictConfig

ENOUGH = 300  # optimizer steps; the moving average of the weights takes as many to settle
DEBUGGING = ("limit_train_batches", "overfit_batches")


def few_steps(cfg: DictConfig, images: int) -> str:
    """A line for a training on so many images that has fewer than `ENOUGH` optimizer steps; "" for any other, for one
    on a deliberate part of the data, and where nothing is to be trained by steps."""
    trainer = cfg.trainer
    if trainer.max_epochs == 0 or any(trainer.get(name) for name in DEBUGGING):
        return ""
    per_epoch = max(1, images // (cfg.data.batch_size * trainer.accumulate))
    steps = per_epoch * trainer.max_epochs
    if steps >= ENOUGH:
        return ""
    epochs = -(-ENOUGH // per_epoch)
    return (
        f"{steps} optimizer steps are too few to learn much: raise trainer.max_epochs to {epochs} or more, or lower "
        "data.batch_size"
    )
