"""metrics.csv: the logged values of every epoch, with any tracker."""

import csv
import io
from pathlib import Path

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from lightdet.core.files import read_metrics, write_text

VALIDATED, TRAINED = ("val/",), ("train/", "lr")  # prefixes of what is logged after validation, after the epoch


class MetricsCsv(Checkpoint):
    """Writes a row per epoch: epoch, step, lr, train/..., val/...

    On resume the rows of the epoch that training continues from, and of later ones, are dropped first: none is doubled,
    none is lost. The file is replaced as a whole, so a reader never sees half a row. A Checkpoint to Lightning, which
    calls those last, after the module has logged its epoch; put it before the ModelCheckpoints.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reads the rows of earlier epochs."""
        self.rows = [row for row in read_metrics(self.path) if int(row["epoch"]) < trainer.current_epoch]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds the validation of this epoch."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._add(trainer, VALIDATED)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds the training of this epoch."""
        self._add(trainer, TRAINED)

    def _add(self, trainer: Trainer, prefixes: tuple[str, ...]) -> None:
        epoch = str(trainer.current_epoch)
        if not self.rows or self.rows[-1]["epoch"] != epoch:
            self.rows.append({"epoch": epoch})
        values = trainer.callback_metrics.items()
        self.rows[-1]["step"] = str(trainer.global_step)
        self.rows[-1] |= {name: f"{float(value):.7g}" for name, value in values if name.startswith(prefixes)}
        if trainer.is_global_zero:
            write_text(self.path, metrics_text(self.rows))


def metrics_text(rows: list[dict[str, str]]) -> str:
    """The content of the file; columns that a row lacks stay empty."""
    names = {name for row in rows for name in row}
    order = {"epoch": 0, "step": 1, "lr": 2}
    columns = sorted(names, key=lambda name: (order.get(name, 3), name))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
