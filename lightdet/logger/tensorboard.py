"""TensorBoard: curves, hyperparameters with the final numbers, and pictures, as event files in the run folder."""

from typing import Any

import numpy as np

from lightdet.callback.metrics_csv import read_metrics
from lightdet.data.image import read_image
from lightdet.logger.names import drawn, summary
from lightdet.logger.run_logger import RunLogger
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import scores_of


class TensorboardLogger(RunLogger):
    """Writes event files into `<run folder>/tensorboard`, through Lightning's own logger.

    A resumed run purges the rows from its first step on (`purge_step`), so no step appears twice. The final numbers
    follow one step after the last row, with the choices (TensorBoard's tab HPARAMS).
    """

    title, extra = "TensorBoard", "tensorboard"

    def __init__(self, folder: RunFolder, config: dict[str, Any]) -> None:
        super().__init__(folder, config)
        self.path = folder.path / "tensorboard"
        self.inner: Any = None
        self.last_step = 0
        self.guard(self._require_package)

    def write_row(self, values: dict[str, float], step: int) -> None:
        """Writes a point of each curve."""
        self._writer(step).log_metrics(values, step)
        self.last_step = step

    def write_results(self, results: dict[str, Any]) -> None:
        """Writes hyperparameters with the final numbers, and the pictures."""
        rows = read_metrics(self.folder.metrics_csv)
        step = 1 + max([self.last_step, *(int(row["step"]) for row in rows if row.get("step"))])
        writer = self._writer(step)
        choices = {name: "-" if value is None else value for name, value in self.identity["choices"].items()}
        writer.log_hyperparams(choices, summary(results, scores_of(self.folder)), step)
        for name, paths in drawn(self.folder).items():
            for path in paths:
                tag = f"{name}/{path.stem}" if name == "pictures" else name
                writer.experiment.add_image(tag, np.asarray(read_image(path)), step, dataformats="HWC")
        writer.experiment.flush()

    def close(self, state: str) -> None:
        """Flushes the event file."""
        if self.inner is not None:
            self.inner.finalize(state)

    def _require_package(self) -> None:
        import tensorboard  # noqa: F401  # torch's writer needs it; a missing package is reported before the first epoch

    def _writer(self, step: int) -> Any:
        """Lightning's logger, opened with the first row, whose step decides which old rows are purged."""
        if self.inner is None:
            from pytorch_lightning.loggers import TensorBoardLogger

            resumed = any(self.path.glob("events.out.tfevents.*"))
            self.inner = TensorBoardLogger(
                self.path, name="", version="", default_hp_metric=False, purge_step=step if resumed else None
            )
            if not resumed:
                text = "\n".join(f"    {key}: {value}" for key, value in self.identity["choices"].items())
                self.inner.experiment.add_text("choices", text, 0)
        return self.inner
