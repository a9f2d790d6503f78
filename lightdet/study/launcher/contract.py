"""The contract of the config group `launcher`: where the runs of a study are trained."""

from collections.abc import Sequence
from typing import Protocol

from lightdet.runs.folder import RunFolder


class Launcher(Protocol):
    """Trains registered runs to their end."""

    def run(self, folders: Sequence[RunFolder], train: str, stop_on_error: bool) -> None:
        """Trains every run that is not done, and returns when no run is left that can be trained.

        `train` names the training as module:function (see lightdet/engine/work.py), which a process calls through
        `work(folder, train)`. The outcome of a run is in its `status.json`, also when its process died without
        writing it. With `stop_on_error` no further run is started after one that failed. A run that another process
        trains is waited for, and taken over when that process dies.
        """
