"""Ends a training that has stopped improving, also when its process dies before the results are written."""

from pytorch_lightning import LightningModule, Trainer, callbacks

from lightdet.core.score import LOSS, Monitor


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, which ends a training after `patience` validations without a better `monitor`.

    Lightning stores the count in the checkpoint, but not that the training has ended: a run that was killed during its
    final evaluation would be trained further. Here it is only evaluated. The class has Lightning's name, because the
    checkpoint stores the count under the name.
    """

    def __init__(self, monitor: Monitor, patience: int) -> None:
        super().__init__(
            monitor.log_name,
            patience=patience,
            mode=monitor.mode,
            check_on_train_epoch_end=True if monitor.log_name == LOSS else None,
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on Lightning counts the last epoch as over, and checks `should_stop` before another one."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
