"""The end of a training that has stopped to improve, also when its process dies before the results are written."""

from pytorch_lightning import LightningModule, Trainer, callbacks


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, which ends a training after `patience` validations without a better `monitor`.

    Lightning keeps the count in the checkpoint and forgets that it was full: a run that was killed while it was
    measured at its end would be trained further. Here it is measured. The name is Lightning's, because under it lies
    the count in the checkpoint.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on Lightning counts the last epoch as over, and asks before it begins another one."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
