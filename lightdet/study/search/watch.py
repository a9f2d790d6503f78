"""Reports the epochs of running trials to Optuna and requests the end of those that its pruner rejects."""

import statistics
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from optuna.trial import Trial, TrialState

from lightdet.core.errors import one_line
from lightdet.core.files import read_metrics
from lightdet.runs.folder import RunFolder
from lightdet.study.search.trials import TrialStore

LOOK_AGAIN = 1.0  # seconds between two reads of metrics.csv


@dataclass(frozen=True, slots=True)
class Watched:
    """A trial in training."""

    trial: Trial
    folder: RunFolder
    epochs: int  # of the whole training


class Watch:
    """A thread that lives as long as its `with` block and reads nothing but the files of the runs.

    The value of an epoch is the best validation score up to it. A trial is never pruned after its last epoch. With
    several objectives nothing is pruned: Optuna has no rule for it, and a small network that is worse in the first
    objective may well belong to the Pareto front.
    """

    def __init__(self, store: TrialStore, watched: Sequence[Watched]) -> None:
        self._store = store
        self._watched = watched
        self._column = epoch_metric(store)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        if self._column is not None:
            self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        if error is None and self._column is not None:
            self._look(may_end=False)  # epochs since the last read

    def _watch(self) -> None:
        while not self._over.wait(LOOK_AGAIN):
            try:
                self._look(may_end=True)
            except Exception as error:  # a database that is briefly unreachable: the training continues
                print(f"lightdet: the search could not read its trials: {one_line(error)}", flush=True)

    def _look(self, may_end: bool) -> None:
        for each in self._watched:
            self._report(each)
            if may_end and each.folder.is_running() and not each.folder.end_reason():
                reason = self._reason_to_end(each)
                if reason is not None:
                    each.folder.request_end(reason)
                    if not each.folder.is_running():  # it ended meanwhile: nothing reads the request
                        each.folder.end_path.unlink(missing_ok=True)

    def _report(self, each: Watched) -> None:
        assert self._column is not None
        best: float | None = None
        known = self._store.intermediate(each.trial)
        for row in read_metrics(each.folder.metrics_csv):
            text = row.get(self._column)
            if text:
                value = float(text)
                best = value if best is None or self._store.search.objectives[0].better(value, best) else best
                if int(row["epoch"]) not in known:
                    each.trial.report(best, int(row["epoch"]))

    def _reason_to_end(self, each: Watched) -> str | None:
        known = self._store.intermediate(each.trial)
        if not known or max(known) + 1 >= each.epochs or not each.trial.should_prune():
            return None
        epoch = max(known)
        finished = (trial for trial in self._store.trials() if trial.state == TrialState.COMPLETE)
        others = [trial.intermediate_values[epoch] for trial in finished if epoch in trial.intermediate_values]
        beside = (
            f"; the median of {len(others)} finished trials there is {statistics.median(others):.3g}" if others else ""
        )
        return f"pruned at epoch {epoch + 1}: best {self._column} {known[epoch]:.3g}{beside}"


def epoch_metric(store: TrialStore) -> str | None:
    """The column of metrics.csv with the objective per epoch; None where trials are not pruned."""
    objectives = store.search.objectives
    return objectives[0].column if len(objectives) == 1 else None
