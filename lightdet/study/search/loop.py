"""A worker of a search: claims trials, has them trained by a launcher, and notes what they gave, until none is left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import Trial

from lightdet.config.compose import compose_job
from lightdet.core.errors import LightdetError, one_line
from lightdet.runs.folder import RunFolder
from lightdet.runs.registration import JobRequest, ask, register
from lightdet.study.launcher.contract import Launcher
from lightdet.study.search.result_files import write_outcome
from lightdet.study.search.trials import TrialStore
from lightdet.study.search.watch import Watch, Watched

LOOK_AGAIN = 2.0  # seconds between two looks at the trials of other workers
ENDS = "ends"  # attribute of a trial: how often its training ended without a word


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of a search."""

    store: TrialStore
    launcher: Launcher
    runs_dir: Path
    words: list[str]  # the fixed settings, as overrides
    config_dir: Path | None
    train: str  # module:function
    retry: bool  # train a failed run again when a trial comes to it
    failures: int  # in a row that stop the search

    def work(self) -> bool:
        """Until the budget is spent by all workers together; False when too many trials failed one after another."""
        told = False
        with self.store.working():
            while True:
                claimed = self.store.claim(int(self.store.search.settings.batch))
                if claimed:
                    self._train(claimed)
                    write_outcome(self.store)
                    if len(self.store.failed_in_a_row()) >= self.failures:
                        return False
                elif self.store.busy():
                    if not told:
                        print("lightdet: other workers train the last trials; they are waited for", flush=True)
                    told = True
                    time.sleep(LOOK_AGAIN)
                else:
                    return True

    def _train(self, trials: Sequence[Trial]) -> None:
        asked = [self._ask(trial) for trial in trials]
        folders = register(self.runs_dir, self.store.search.name, [one for one, _ in asked])
        watched: list[Watched] = []
        for trial, (one, epochs), folder in zip(trials, asked, folders, strict=True):
            if folder is None:
                self.store.fail(trial, one.trouble)
                print(f"lightdet: trial {trial.number} failed: {one.trouble}", flush=True)
                continue
            trial.set_user_attr("run", folder.path.relative_to(self.store.search.study_path).as_posix())
            same = "" if folder.path.parent.name == one.slug else f" (the same training as {folder.path.parent.name})"
            said = " ".join(one.overrides[len(self.words) :])
            print(f"\nlightdet: trial {trial.number}{same}: {said}", flush=True)
            watched.append(Watched(trial, folder, epochs))
        missing = {each.folder.path: each for each in watched if self._is_missing(each.folder)}
        if missing:
            with Watch(self.store, list(missing.values())):
                self.launcher.run([each.folder for each in missing.values()], self.train, False)
        for each in watched:
            self._settle(each)

    def _ask(self, trial: Trial) -> tuple[JobRequest, int]:
        """The row of a trial, and the epochs that it may take."""
        drawn = [one.word(trial.params[one.key]) for one in self.store.search.space]
        words, slug = [*self.words, *drawn], f"trial-{trial.number:04d}"
        try:
            cfg = compose_job(words, self.config_dir)
            return ask(cfg, words, trial.number, slug), int(cfg.trainer.max_epochs)
        except (HydraException, OmegaConfBaseException) as error:  # choices that do not go together
            return JobRequest(words, trial.number, 0, slug, "", {}, "", one_line(error)), 0

    def _is_missing(self, folder: RunFolder) -> bool:
        state = folder.read_status().get("state")
        return not folder.is_done() and state != "pruned" and (state != "failed" or self.retry)

    def _settle(self, each: Watched) -> None:
        """Note what became of a trial; one whose process died without a word is given back, some times."""
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
            told = ", ".join(f"{one.name} {value:.6g}" for one, value in zip(objectives, values, strict=True))
            print(f"lightdet: trial {trial.number}: {told}", flush=True)
        elif state == "pruned":
            self.store.prune(trial, reason)
        elif state == "failed":
            self.store.fail(trial, reason)
        else:
            ends = int(trial.user_attrs.get(ENDS, 0)) + 1
            trial.set_user_attr(ENDS, ends)
            if ends >= self.store.search.settings.attempts:
                self.store.fail(trial, f"ended {ends} times without a word: {reason}")
            else:
                self.store.requeue(trial)
