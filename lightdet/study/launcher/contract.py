"""Where the runs of a study are trained: what an option of the group `launcher` does."""

from collections.abc import Sequence
from typing import Protocol

from lightdet.runs.folder import RunFolder


class Launcher(Protocol):
    """Brings claimed runs to their end."""

    def run(self, folders: Sequence[RunFolder], train: str, stop_on_error: bool) -> None:
        """Train every folder that is not done, and return when nothing is left that could be trained.

        `train` names the training as module:function (see lightdet/study/work.py), which a process calls through
        `work(folder, train)`. What became of a run stands in its `status.json`, also when its process died without a
        word. With `stop_on_error` no further run is begun after one that failed. A run that another process trains is
        waited for, and taken over when that process dies.
        """
