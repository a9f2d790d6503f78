"""The trials of a search in Optuna's storage, and which worker trains which of them. No torch here.

Any number of processes work on one search. Each decision (requeue the trial of a dead worker, draw a new one) is made
under a lock in the study's folder and is stored before the next process decides. All workers therefore share the
folder; the storage is a file in it or a database server.

Optuna's heartbeat (`RDBStorage(heartbeat_interval=...)`) and retry callback are not used: they record the trial of a
dead worker as failed after a grace period and enqueue a copy under another number, and `study.optimize` alone records
heartbeats. The lock of a dead worker is free at once, and its trial keeps its number and its run.
"""

import os
import secrets
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from lightdet.config.tree import digest
from lightdet.core.errors import LightdetError
from lightdet.core.files import holder_of, locked, read_json, write_json
from lightdet.core.paths import named_inside
from lightdet.study.search.objective import Objective
from lightdet.study.search.space import Parameter

WORKERS = ".workers"  # in the study's folder: a lock file per living worker
FOLDER_ID = ".search.json"
WAITS_FOR_DATABASE = 120.0  # seconds
BUDGET = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True, slots=True)
class Search:
    """Definition of a search, equal for all workers."""

    name: str
    study_path: Path
    space: list[Parameter]
    objectives: list[Objective]
    settings: DictConfig  # the configuration's `search`
    definition: dict[str, Any]  # what all trials have in common, by name; long values as digests


class TrialStore:
    """Stores the trials of a search. Raises LightdetError when the storage holds another search of this name."""

    def __init__(self, search: Search) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search = search
        self._lock = search.study_path / ".search.lock"
        self._workers = named_inside(search.study_path, WORKERS, "search")
        self._me = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        with self._alone():
            self._storage = _storage(search.settings.storage, search.study_path)
            self.study = optuna.create_study(
                storage=self._storage,
                study_name=search.name,
                directions=[objective.direction for objective in search.objectives],
                pruner=instantiate(search.settings.pruner),
                load_if_exists=True,
            )
            self._check_definition()
        self.failed_before = {trial.number for trial in self.trials() if trial.state == TrialState.FAIL}

    def trials(self) -> list[FrozenTrial]:
        """All trials, ordered by number."""
        return self.study.get_trials(deepcopy=False)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Registers this process as a living worker while the block runs."""
        path = self._workers / self._me
        with ExitStack() as held:
            with self._alone():  # between creation and lock the file looks like that of a dead worker
                held.enter_context(locked(path, wait=True))
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def claim(self, count: int) -> list[Trial]:
        """At most `count` trials for this worker: those of dead workers first, then new ones within the budget.

        A requeued trial keeps its number and its parameters.
        """
        with self._alone():
            self._requeue_orphans()
            claimed = []
            for _ in range(count):
                trials = self.trials()
                waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
                left = self.search.settings.trials - sum(trial.state in BUDGET for trial in trials)
                if not waiting and left <= 0:
                    break
                claimed.append(self._draw(waiting[0] if waiting else len(trials)))
            return claimed

    def intermediate(self, trial: Trial) -> dict[int, float]:
        """Epoch (from 0) -> value reported for it so far, by any worker."""
        return dict(self._storage.get_trial(trial._trial_id).intermediate_values)

    def busy(self) -> bool:
        """Whether any trial is running."""
        return any(trial.state == TrialState.RUNNING for trial in self.trials())

    def complete(self, trial: Trial, values: Sequence[float]) -> None:
        """Records the objective values of a trained trial."""
        self.study.tell(trial, list(values), skip_if_finished=True)

    def prune(self, trial: Trial, reason: str) -> None:
        """Records a trial that the pruner ended early."""
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

    def fail(self, trial: Trial, reason: str) -> None:
        """Records a failed trial; another one takes its place in the budget."""
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def requeue(self, trial: Trial | FrozenTrial) -> None:
        """Makes a trial available to every worker again."""
        self._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def failed_in_a_row(self) -> list[FrozenTrial]:
        """The failed trials since the last one that did not fail, without those from before this worker began."""
        over = [
            trial for trial in self.trials() if trial.state.is_finished() and trial.number not in self.failed_before
        ]
        over.sort(key=lambda trial: (trial.datetime_complete is not None, trial.datetime_complete))
        row: list[FrozenTrial] = []
        for trial in over:
            row = [*row, trial] if trial.state == TrialState.FAIL else []
        return row

    def best(self) -> list[int]:
        """Numbers of the trials on the Pareto front, with one objective of the best trial; of equal ones the first."""
        first: dict[tuple[float, ...], int] = {}
        for trial in self.study.best_trials:
            first.setdefault(tuple(trial.values), trial.number)
        return list(first.values())

    def importances(self) -> dict[str, dict[str, float]]:
        """Objective -> setting -> its share in what separates the best trials from all (PED-ANOVA, Watanabe et al.
        2023, arXiv 2304.10255).

        Empty for an objective with too little to compare: no more trained trials than settings, or all values equal.
        """
        shares: dict[str, dict[str, float]] = {}
        values = [trial.values for trial in self.trials() if trial.state == TrialState.COMPLETE]
        if len(values) <= len(self.search.space):
            return shares
        for index, objective in enumerate(self.search.objectives):
            if len({value[index] for value in values}) > 1:
                shares |= {objective.name: found} if (found := self._importance(index, objective)) else {}
        return shares

    def _importance(self, index: int, objective: Objective) -> dict[str, float]:
        """Shares for one objective; empty where Optuna cannot compute them."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shares = optuna.importance.get_param_importances(
                    self.study,
                    evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
                    target=partial(_cost, index=index, sign=-1 if objective.direction == "maximize" else 1),
                )
        except (ValueError, RuntimeError, ImportError):
            return {}
        return {key: float(share) for key, share in shares.items()}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with locked(self._lock, wait=True):
            yield

    def _draw(self, number: int) -> Trial:
        """The trial of this number; its parameters are a function of the seed, the number and the finished trials."""
        seed = int(digest([self.search.settings.seed, number])[:8], 16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's experimental options
            self.study.sampler = instantiate(self.search.settings.sampler)(seed=seed)
            trial = self.study.ask({one.key: one.distribution for one in self.search.space})
        trial.set_user_attr("worker", self._me)
        return trial

    def _requeue_orphans(self) -> None:
        for trial in self.trials():
            worker = trial.user_attrs.get("worker")
            if trial.state == TrialState.RUNNING and (not worker or holder_of(self._workers / worker) is None):
                self.requeue(trial)
        for path in [path for path in self._workers.iterdir() if holder_of(path) is None]:
            path.unlink()

    def _check_definition(self) -> None:
        """Raises LightdetError unless stored trials belong to this folder and these settings."""
        id_path = self._workers.parent / FOLDER_ID
        folder = read_json(id_path).get("folder") or secrets.token_hex(8)
        mine = {"folder": folder, **self.search.definition}
        known = self.study.user_attrs.get("definition")
        if known is None and self.trials():
            raise LightdetError(
                f"{self.search.name}: search.storage holds trials of another program under this name; "
                "give another study=NAME"
            )
        if known is not None and known.get("folder") != folder:
            raise LightdetError(
                f"search.storage holds a search {self.search.name} of another folder than {self.search.study_path}: "
                "all workers share the study's folder; give another study=NAME"
            )
        for name, value in mine.items():
            if known is not None and known.get(name) != value:
                raise LightdetError(
                    f"{self.search.study_path} has trials with other {name}: repeat the same command as before, or "
                    "give another study=NAME"
                )
        if known is None:
            write_json(id_path, {"folder": folder})
            self.study.set_user_attr("definition", mine)


def _cost(trial: FrozenTrial, index: int, sign: int) -> float:
    """A value to be minimized, as Optuna's evaluator assumes for a custom target."""
    return sign * float(trial.values[index])


def _storage(url: str | None, study_path: Path) -> RDBStorage:
    """SQLite in the study's folder, or the database of the URL. Raises LightdetError where it cannot be opened."""
    study_path.mkdir(parents=True, exist_ok=True)
    url = url or f"sqlite:///{named_inside(study_path, 'search.db', 'search').resolve()}"
    try:
        return RDBStorage(url, {"connect_args": {"timeout": WAITS_FOR_DATABASE}} if url.startswith("sqlite") else None)
    except Exception as error:  # database drivers share no base class
        reason = " ".join(str(error).split())[:200]
        raise LightdetError(
            f"search.storage={url.partition('@')[2] or url}: {type(error).__name__}: {reason}"
        ) from None
