"""Objectives of a search: numbers of a finished run, each with its direction. No torch here."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lightdet.core.errors import LightdetError
from lightdet.core.score import Score, primary_of
from lightdet.metric.detection_scores import DETECTION_SCORES, FURTHER_NUMBERS
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import inside

Direction = Literal["maximize", "minimize"]
DIRECTIONS: dict[str, Direction] = {"maximize": "maximize", "minimize": "minimize"}
PRIMARY, BEST = "primary", "best"  # the model's primary score; the direction that a score declares
COSTS = ("footprint.parameters", "footprint.macs", "footprint.gflops", "seconds")  # in results.json of any task
CLASS = "NAME"  # placeholder for the name of a class
Measure = Callable[[RunFolder], float]


@dataclass(frozen=True, slots=True)
class Objective:
    """One number and its direction."""

    name: str
    direction: Direction
    measure: Measure | None = None  # None: the name is a path in results.json
    column: str | None = None  # of metrics.csv with its value per epoch; None: known at the end of a training alone

    def value(self, folder: RunFolder) -> float:
        """Its value for a finished run. Raises LightdetError where the run has none."""
        value = self.measure(folder) if self.measure else inside(folder.read_results(), *self.name.split("."))
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise LightdetError(f"{folder.results_path}: no number {self.name}, which is an objective of the search")
        return float(value)

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better."""
        return one > other if self.direction == "maximize" else one < other


def read_objectives(search: DictConfig, declared: Callable[[], Sequence[Score]]) -> list[Objective]:
    """The objectives of a composed search, in its order; `primary` is replaced by the primary score.

    `declared` returns the scores of the model that is trained. It is called where the declarations of detection do not
    decide: for `primary` and for a name that they lack. Raises LightdetError for an unknown name or direction.
    """
    content, measures = OmegaConf.to_container(search.objectives), search.get("measures") or {}
    if not isinstance(content, dict) or not content:
        raise LightdetError("search.objectives is empty: name a number and maximize or minimize")
    objectives = []
    for name, direction in [(str(key), str(value)) for key, value in content.items()]:
        if direction not in (*DIRECTIONS, BEST):
            raise LightdetError(f"search.objectives: {name}: {direction}: one of {', '.join(DIRECTIONS)}, {BEST}")
        if name in measures or name in COSTS or any(_matches(number, name) for number in FURTHER_NUMBERS):
            if direction == BEST:
                raise LightdetError(f"search.objectives: {name}: {BEST}: give maximize or minimize")
            measure = instantiate(measures[name]) if name in measures else None
            objectives.append(Objective(name, DIRECTIONS[direction], measure))
        else:
            objectives.append(_of_score(name, direction, declared, list(map(str, measures))))
    return objectives


def _of_score(name: str, direction: str, declared: Callable[[], Sequence[Score]], measures: list[str]) -> Objective:
    """The objective for a declared score, under its path in results.json."""
    score = next((score for score in DETECTION_SCORES if _matches(path_of(score), name)), None)
    if score is None:
        scores = declared() if name == PRIMARY or name.startswith("metrics.") else DETECTION_SCORES
        name = path_of(primary_of(scores)) if name == PRIMARY else name
        score = next((score for score in scores if _matches(path_of(score), name)), None)
        if score is None:
            choices = ", ".join([PRIMARY, *map(path_of, scores), *FURTHER_NUMBERS, *COSTS, *measures])
            raise LightdetError(f"search.objectives: no number {name}; there are {choices}")
    if direction == BEST:
        direction = "maximize" if score.higher_is_better else "minimize"
    column = f"{score.log_name}/{name.split('.')[2]}" if score.per_class else score.log_name
    return Objective(name, DIRECTIONS[direction], column=column)


def path_of(score: Score) -> str:
    """The key of a score in results.json: metrics.KEY, with `per_class` metrics.per_class.NAME.KEY."""
    return f"metrics.per_class.{CLASS}.{score.key}" if score.per_class else f"metrics.{score.key}"


def _matches(known: str, name: str) -> bool:
    return re.fullmatch(re.escape(known).replace(CLASS, r"[^.]+"), name) is not None
