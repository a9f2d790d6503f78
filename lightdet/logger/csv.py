"""Everything that Lightning logs, as it logs it, in one long table; for those who keep no tracker."""

import csv
from typing import Any

from lightdet.logger.run_logger import RunLogger
from lightdet.run import RunFolder, write_text

HEADER = ("step", "epoch", "name", "value")


class CsvLogger(RunLogger):
    """Appends rows (step, epoch, name, value) to `<run folder>/log.csv`.

    The first rows of a resumed run replace those of the same step and later, so no step stands there twice.
    """

    def __init__(self, folder: RunFolder, config: dict[str, Any]) -> None:
        super().__init__()
        self.folder = folder
        self.path = folder.path / "log.csv"
        self.begun = False

    @property
    def name(self) -> str:
        """The choices of the run."""
        return self.folder.path.parent.name

    @property
    def version(self) -> str:
        """The seed of the run."""
        return self.folder.path.name

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml holds them."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """One line per value."""
        step = step or 0
        if not self.begun:
            self._keep_before(step)
            self.begun = True
        epoch = metrics.get("epoch", "")
        rows = [(step, epoch, name, float(value)) for name, value in metrics.items() if name != "epoch"]
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def log_results(self, results: dict[str, Any], folder: RunFolder) -> None:
        """Nothing: results.json holds them."""

    def _keep_before(self, step: int) -> None:
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        kept = [line for line in lines[1:] if line.split(",", 1)[0].isdigit() and int(line.split(",", 1)[0]) < step]
        write_text(self.path, "\n".join([",".join(HEADER), *kept]) + "\n")
