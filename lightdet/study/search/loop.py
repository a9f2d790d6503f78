"""A worker of a search: claims trials, trains them with a launcher and records their results, until none is left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf.errors import OmegaConfBaseException
from optuna.trial import Trial

from lightdet.config.compose import compose_job
from lightdet.config.trust import composed_here
from lightdet.core.errors import LightdetError, one_line
from lightdet.runs.folder import RunFolder
from lightdet.runs.registration import JobRequest, register, request_job
from lightdet.study.launcher.contract import Launcher
from lightdet.study.search.result_files import write_result_files
from lightdet.study.search.trials import TrialStore
from lightdet.study.search.watch import Watch, Watched

LOOK_AGAIN = 2.0  # seconds between two checks of the trials of other workers
ENDS = "ends"  # attribute of a trial: how often its process died


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of a search. Its methods raise what the storage raises."""

    store: TrialStore
    launcher: Launcher
    runs_dir: Path
    words: list[str]  # the fixed settings, as overrides
    config_dir: Path | None
    train: str  # module:function
    retry: bool  # train a failed run again when a trial maps to it
    failures: int  # consecutive ones that stop the search

    def work(self) -> bool:
        """Trains until all workers together have spent the budget; False after too many consecutive failures."""
        announced = False
        with self.store.working():
            while True:
                claimed = self.store.claim(int(self.store.search.settings.batch))
                if claimed:
                    self._train(claimed)
                    write_result_files(self.store)
                    if len(self.store.failed_in_a_row()) >= self.failures:
                        return False
                elif self.store.busy():
                    if not announced:
                        print("lightdet: waiting for other workers, which train the last trials", flush=True)
                    announced = True
                    time.sleep(LOOK_AGAIN)
                else:
                    return True

    def _train(self, trials: Sequence[Trial]) -> None:
        requests = [self._request(trial) for trial in trials]
        folders = register(self.runs_dir, self.store.search.name, [request for request, _ in requests])
        watched: list[Watched] = []
        for trial, (request, epochs), folder in zip(trials, requests, folders, strict=True):
            if folder is None:
                self.store.fail(trial, request.trouble)
                print(f"lightdet: trial {trial.number} failed: {request.trouble}", flush=True)
                continue
            trial.set_user_attr("run", folder.path.relative_to(self.store.search.study_path).as_posix())
            same = (
                "" if folder.path.parent.name == request.slug else f" (the same training as {folder.path.parent.name})"
            )
            drawn = " ".join(request.overrides[len(self.words) :])
            print(f"\nlightdet: trial {trial.number}{same}: {drawn}", flush=True)
            watched.append(Watched(trial, folder, epochs))
        missing = {each.folder.path: each for each in watched if self._is_missing(each.folder)}
        with composed_here(text for request, _ in requests for text in request.needs_word):
            if missing:
                with Watch(self.store, list(missing.values())):
                    self.launcher.run([each.folder for each in missing.values()], self.train, False)
            for each in watched:
                self._record(each)

    def _request(self, trial: Trial) -> tuple[JobRequest, int]:
        """The job of a trial and its number of epochs; a job with `trouble` for choices that do not fit together."""
        drawn = [one.word(trial.params[one.key]) for one in self.store.search.space]
        words, slug = [*self.words, *drawn], f"trial-{trial.number:04d}"
        try:
            cfg = compose_job(words, self.config_dir)
            return request_job(cfg, words, trial.number, slug), int(cfg.trainer.max_epochs)
        except (LightdetError, OmegaConfBaseException) as error:  # choices that do not fit together
            return JobRequest(words, trial.number, 0, slug, "", {}, "", one_line(error)), 0

    def _is_missing(self, folder: RunFolder) -> bool:
        state = folder.read_status().get("state")
        return not folder.is_done() and state != "pruned" and (state != "failed" or self.retry)

    def _record(self, each: Watched) -> None:
        """Records the result of a trial; requeues one whose process died, up to `search.attempts` times."""
        trial, status = each.trial, each.folder.read_status()
        state, reason = status.get("state"), str(status.get("reason") or f"it is {status.get('state')}")
        objectives = self.store.search.objectives
        if state == "done":
            try:
                values = [objective.value(each.folder) for objective in objectives]
            except LightdetError as error:
                self.store.fail(trial, one_line(error))
                return
            self.store.complete(trial, values)
            reached = ", ".join(f"{one.name} {value:.6g}" for one, value in zip(objectives, values, strict=True))
            print(f"lightdet: trial {trial.number}: {reached}", flush=True)
        elif state == "pruned":
            self.store.prune(trial, reason)
        elif state == "failed":
            self.store.fail(trial, reason)
        else:
            ends = int(trial.user_attrs.get(ENDS, 0)) + 1
            trial.set_user_attr(ENDS, ends)
            if ends >= self.store.search.settings.attempts:
                self.store.fail(trial, f"its process died {ends} times: {reason}")
            else:
                self.store.requeue(trial)
