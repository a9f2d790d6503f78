"""All values that Lightning logs, in one long table; a tracker that needs no server and no package."""

import csv
from typing import Any

from lightdet.core.files import write_text
from lightdet.logger.run_logger import RunLogger
from lightdet.runs.folder import RunFolder

HEADER = ("step", "epoch", "name", "value")


class CsvLogger(RunLogger):
    """Appends rows (step, epoch, name, value) to `<run folder>/log.csv`.

    The first rows of a resumed run replace those of the same step and later, so no step appears twice.
    """

    title = "log.csv"

    def __init__(self, folder: RunFolder, config: dict[str, Any]) -> None:
        super().__init__(folder, config)
        self.path = folder.path / "log.csv"
        self.begun = False

    def write_row(self, values: dict[str, float], step: int) -> None:
        """One line per value."""
        if not self.begun:
            self._keep_before(step)
            self.begun = True
        epoch = f"{values['epoch']:.0f}" if "epoch" in values else ""
        rows = [(step, epoch, name, value) for name, value in values.items() if name != "epoch"]
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def write_results(self, results: dict[str, Any]) -> None:
        """Does nothing: results.json holds them."""

    def close(self, state: str) -> None:
        """Does nothing: every row is written at once."""

    def _keep_before(self, step: int) -> None:
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        kept = [line for line in lines[1:] if line.split(",", 1)[0].isdigit() and int(line.split(",", 1)[0]) < step]
        write_text(self.path, "\n".join([",".join(HEADER), *kept]) + "\n")
