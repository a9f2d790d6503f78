"""Which trials there are and who works on which: Optuna's storage, and a lock that says which worker lives.

Any number of processes work on one search. Every decision (a trial whose worker died is given back, a new one is drawn)
is taken by one of them at a time, under a lock in the study's folder, and stands in the storage before the next one
looks. So the folder has to be shared by all workers; the storage may be a file in it or a database server. No torch.
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
from lightdet.study.search.objective import Objective
from lightdet.study.search.space import Parameter

WORKERS = ".workers"  # in the study's folder: a lock file per worker that lives
FOLDER_ID = ".search.json"
WAITS_FOR_DATABASE = 120.0  # seconds
BUDGET = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched, the same for every worker."""

    name: str
    study_path: Path
    space: list[Parameter]
    objectives: list[Objective]
    settings: DictConfig  # the configuration's `search`
    definition: dict[str, Any]  # what trials have in common, by name; a digest where it is long


class Ledger:
    """The trials of a search. Raises LightdetError when the storage holds another search under this name."""

    def __init__(self, search: Search) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search = search
        self._lock = search.study_path / ".search.lock"
        self._workers = search.study_path / WORKERS
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
            self._agree()
        self.failed_before = {trial.number for trial in self.trials() if trial.state == TrialState.FAIL}

    def trials(self) -> list[FrozenTrial]:
        """All of them, by number."""
        return self.study.get_trials(deepcopy=False)

    @contextmanager
    def working(self) -> Iterator[None]:
        """While this block runs, this process is known to live."""
        path = self._workers / self._me
        with ExitStack() as held:
            with self._alone():  # or it might be taken for that of a dead one before it is locked
                held.enter_context(locked(path, wait=True))
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def claim(self, count: int) -> list[Trial]:
        """At most `count` trials for this worker: first those of workers that died, then new ones while there are some.

        A trial that is taken up again keeps its number and its parameters.
        """
        with self._alone():
            self._give_back_orphans()
            claimed = []
            for _ in range(count):
                trials = self.trials()
                waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
                left = self.search.settings.trials - sum(trial.state in BUDGET for trial in trials)
                if not waiting and left <= 0:
                    break
                claimed.append(self._ask(waiting[0] if waiting else len(trials)))
            return claimed

    def intermediate(self, trial: Trial) -> dict[int, float]:
        """Epoch (from 0) -> what was told of it so far, by whichever worker."""
        return dict(self._storage.get_trial(trial._trial_id).intermediate_values)

    def busy(self) -> bool:
        """Whether a trial is being worked on."""
        return any(trial.state == TrialState.RUNNING for trial in self.trials())

    def complete(self, trial: Trial, values: Sequence[float]) -> None:
        """A trained trial."""
        self.study.tell(trial, list(values), skip_if_finished=True)

    def prune(self, trial: Trial, reason: str) -> None:
        """A trial that was ended early."""
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

    def fail(self, trial: Trial, reason: str) -> None:
        """A trial that gave nothing; another one takes its place in the budget."""
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def give_back(self, trial: Trial | FrozenTrial) -> None:
        """A trial that somebody has to take up again."""
        self._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def failed_in_a_row(self) -> list[FrozenTrial]:
        """The failed trials after the last one that ended well, those from before this worker began left out."""
        over = [
            trial for trial in self.trials() if trial.state.is_finished() and trial.number not in self.failed_before
        ]
        over.sort(key=lambda trial: (trial.datetime_complete is not None, trial.datetime_complete))
        row: list[FrozenTrial] = []
        for trial in over:
            row = [*row, trial] if trial.state == TrialState.FAIL else []
        return row

    def importances(self) -> dict[str, dict[str, float]]:
        """Objective -> setting -> its share of what parts the best trials from all; {} while too little is known."""
        found: dict[str, dict[str, float]] = {}
        if sum(trial.state == TrialState.COMPLETE for trial in self.trials()) < 2:  # Optuna would say: all alike
            return found
        for index, objective in enumerate(self.search.objectives):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    shares = optuna.importance.get_param_importances(
                        self.study,
                        evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
                        target=partial(_cost, index=index, sign=-1 if objective.direction == "maximize" else 1),
                    )
            except (ValueError, RuntimeError, ImportError):
                continue  # all of them alike
            found[objective.name] = {key: float(share) for key, share in shares.items()}
        return found

    # ---------------------------------------------------------------- inside

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with locked(self._lock, wait=True):
            yield

    def _ask(self, number: int) -> Trial:
        """What is drawn is a function of the seed, the trial's number and the trials that are over by then."""
        seed = int(digest([self.search.settings.seed, number])[:8], 16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that Optuna calls experimental
            self.study.sampler = instantiate(self.search.settings.sampler)(seed=seed)
            trial = self.study.ask({one.key: one.distribution for one in self.search.space})
        trial.set_user_attr("worker", self._me)
        return trial

    def _give_back_orphans(self) -> None:
        for trial in self.trials():
            worker = trial.user_attrs.get("worker")
            if trial.state == TrialState.RUNNING and (not worker or holder_of(self._workers / worker) is None):
                self.give_back(trial)
        for path in [path for path in self._workers.iterdir() if holder_of(path) is None]:
            path.unlink()

    def _agree(self) -> None:
        """This folder and these settings belong to the trials that are there already."""
        noted = self._workers.parent / FOLDER_ID
        folder = read_json(noted).get("folder") or secrets.token_hex(8)
        mine = {"folder": folder, **self.search.definition}
        known = self.study.user_attrs.get("definition")
        if known is None and self.trials():
            raise LightdetError(f"{self.search.name}: the storage holds trials of another program under this name")
        if known is not None and known.get("folder") != folder:
            raise LightdetError(
                f"search.storage holds a search {self.search.name} of another folder than {self.search.study_path}: "
                "all workers share the study's folder; give another study=NAME"
            )
        for name, value in mine.items():
            if known is not None and known.get(name) != value:
                raise LightdetError(
                    f"{self.search.study_path} has trials under other {name}: give the same command as before, or "
                    "another study=NAME"
                )
        if known is None:
            write_json(noted, {"folder": folder})
            self.study.set_user_attr("definition", mine)


def _cost(trial: FrozenTrial, index: int, sign: int) -> float:
    """The less, the better: of a target of its own Optuna's evaluator asks what made it small."""
    return sign * float(trial.values[index])


def _storage(url: str | None, study_path: Path) -> RDBStorage:
    """SQLite in the study's folder, or the server that a URL names."""
    study_path.mkdir(parents=True, exist_ok=True)
    url = url or f"sqlite:///{(study_path / 'search.db').resolve()}"
    try:
        return RDBStorage(url, {"connect_args": {"timeout": WAITS_FOR_DATABASE}} if url.startswith("sqlite") else None)
    except Exception as error:  # whatever a database driver raises
        told = " ".join(str(error).split())[:200]
        raise LightdetError(f"search.storage={url.partition('@')[2] or url}: {type(error).__name__}: {told}") from None
