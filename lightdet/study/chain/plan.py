"""The trainings of a chain: every cut is an ordinary run that starts from the one before it. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lightdet.config.compose import compose_config
from lightdet.config.judge import judge
from lightdet.config.saved import read_config
from lightdet.core.errors import LightdetError, first_cause
from lightdet.runs.folder import BEST, RunFolder
from lightdet.runs.registration import JobRequest, request_job
from lightdet.study.chain.wish import Wish, cuts

OPTIONS = ("compress.", "distill.", "launcher")  # words that are composed as for `lightdet train`
CUT = "-prune"  # names of steps: 1-prune, 2-prune
FIRST = f"1{CUT}"
OURS = {  # settings that the chain decides -> the option that says how
    "trainer.max_epochs": "--epochs",
    "seed": "--seeds",
    "teacher": "--teacher",
    "weights": "RUN",
    "runs_dir": "--out",
    "study.name": "--out",
    "compress.flops": "--flops",
    "compress.parameters": "--parameters",
    "compress.latency": "--latency",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A row of the chain. start: the name of the step from whose weights it starts; "": from those of the given run.
    left: what is left of the network before it; of_all: of the given one. taught: by the teachers, besides the data."""

    name: str
    start: str
    left: Wish
    of_all: Wish
    taught: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command was asked for, checked. run: that is made smaller. teachers: folders of models. words: settings
    that the steps have besides those of the run."""

    run: RunFolder
    wish: Wish
    steps: Sequence[Step]
    teachers: Sequence[Path]
    seeds: Sequence[int]
    epochs: int
    study_path: Path
    form: str
    precision: str
    words: Sequence[str] = ()
    trust_modules: bool = False

    def launcher(self) -> Any:
        """The configuration of what trains the runs."""
        return self._composed([], "launcher").launcher

    def request(self, step: Step, seed: int, number: int, start: RunFolder, lessons: Sequence[str]) -> JobRequest:
        """The job of a step: data, model and recipe as the run has them, from the best weights of `start`. Raises
        LightdetError for what cannot be trained."""
        taught = bool(step.taught and lessons)
        target = f"compress.{step.left.target}={step.left.amount:.17g}"
        lesson = [f"distill=[{','.join(lessons)}]"] if taught else []
        chosen = self._composed(["compress=prune", target, *lesson], "compress.", *(["distill."] if taught else []))
        cfg = self.base()
        with open_dict(cfg):
            cfg.weights, cfg.seed = str(start.checkpoints / BEST), seed
            cfg.teacher = [str(teacher) for teacher in self.teachers] if taught else None
            cfg.compress, cfg.distill = chosen.compress, chosen.distill if taught else {}
            cfg.trainer.max_epochs = self.epochs
            cfg.runs_dir, cfg.name = str(self.study_path.parent), step.name
            cfg.study = {**cfg.get("study", {}), "name": self.study_path.name}
        judge(cfg, [])
        said = [f"step={step.name}", "compress=prune", target, *lesson, f"trainer.max_epochs={self.epochs}"]
        request = request_job(cfg, [*said, *self.words, f"seed={seed}"], number, step.name)
        if request.trouble:
            raise LightdetError(request.trouble)
        own = {"compress": "prune", **({"distill": ",".join(lessons)} if taught else {})}
        return replace(request, choices={**self._choices(), **own, "seed": seed})

    def base(self) -> DictConfig:
        """The run's own request, with the settings that the command changes. Raises LightdetError for others."""
        cfg = read_config(self.run.request_path, self.trust_modules)
        for word in self.words:
            key = word.partition("=")[0]
            if not word.startswith(OPTIONS):
                missing = object()
                if "=" not in word or OmegaConf.select(cfg, key, default=missing) is missing:
                    raise LightdetError(f"{word}: {self.run.path} has no such setting")
                if OmegaConf.is_config(OmegaConf.select(cfg, key)):
                    raise LightdetError(f"{word}: {key} stays that of the run; settings are values: {key}.NAME=VALUE")
                try:
                    cfg.merge_with_dotlist([word])
                except OmegaConfBaseException as error:
                    raise LightdetError(f"{word}: {first_cause(error)}") from error
        return cfg

    def _composed(self, words: Sequence[str], *groups: str) -> DictConfig:
        """Options as `lightdet train` composes them, with the settings of the command in these groups."""
        return compose_config([*words, *(word for word in self.words if word.startswith(groups))])

    def _choices(self) -> Mapping[str, Any]:
        """Of the run, for tables."""
        choices = self.run.read_status().get("choices")
        return choices if isinstance(choices, dict) else {}


def steps_of(wish: Wish, share: float, count: int, taught: bool, untaught_too: bool) -> list[Step]:
    """The cuts in order; last, where it is wanted, the last one again without a teacher."""
    steps: list[Step] = []
    for number, (left, of_all) in enumerate(cuts(wish, share, count), start=1):
        steps.append(Step(f"{number}{CUT}", steps[-1].name if steps else "", left, of_all, taught))
    if untaught_too:
        steps.append(replace(steps[-1], name=f"{count}-untaught", taught=False))
    return steps
