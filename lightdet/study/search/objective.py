"""What a search makes as large or as small as it can: numbers of a finished run. No torch here."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lightdet.core.errors import LightdetError
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import inside

Direction = Literal["maximize", "minimize"]
DIRECTIONS: dict[str, Direction] = {"maximize": "maximize", "minimize": "minimize"}
RESULTS = (  # numbers of results.json that say something about a detector
    "metrics.map50_95",
    "metrics.map50",
    "metrics.map75",
    "metrics.per_class.NAME.ap50_95",
    "metrics.per_class.NAME.ap50",
    "metrics.per_class.NAME.ap75",
    "metrics.operating_point.f1",
    "metrics.operating_point.escape_rate",
    "metrics.operating_point.overkill_rate",
    "footprint.parameters",
    "footprint.macs",
    "footprint.gflops",
    "seconds",
)
Measure = Callable[[RunFolder], float]


@dataclass(frozen=True, slots=True)
class Objective:
    """One number and where it should go."""

    name: str
    direction: Direction
    measure: Measure | None = None  # None: the name is a path in results.json

    def value(self, folder: RunFolder) -> float:
        """Of a finished run. Raises LightdetError where there is none."""
        found = self.measure(folder) if self.measure else inside(folder.read_results(), *self.name.split("."))
        if not isinstance(found, int | float) or not math.isfinite(found):
            raise LightdetError(f"{folder.results_path}: no number {self.name}, which is an objective of the search")
        return float(found)

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better."""
        return one > other if self.direction == "maximize" else one < other


def read_objectives(search: DictConfig) -> list[Objective]:
    """Of a composed search, the first one first. Raises LightdetError for an unknown name or direction."""
    content, measures = OmegaConf.to_container(search.objectives), search.get("measures") or {}
    if not isinstance(content, dict) or not content:
        raise LightdetError("search.objectives is empty: name a number and maximize or minimize")
    objectives = []
    for name, direction in [(str(key), str(value)) for key, value in content.items()]:
        if direction not in DIRECTIONS:
            raise LightdetError(f"search.objectives: {name}: {direction}: one of {', '.join(DIRECTIONS)}")
        if name not in measures and not any(_means(known, name) for known in RESULTS):
            choices = ", ".join([*RESULTS, *map(str, measures)])
            raise LightdetError(f"search.objectives: no number {name}; there are {choices}")
        measure = instantiate(measures[name]) if name in measures else None
        objectives.append(Objective(name, DIRECTIONS[direction], measure))
    return objectives


def _means(known: str, name: str) -> bool:
    return re.fullmatch(re.escape(known).replace("NAME", r"[^.]+"), name) is not None


def front(values: Mapping[int, Sequence[float]], objectives: Sequence[Objective]) -> list[int]:
    """The keys of the points that no other point beats: none is as good in everything and better in something.

    With one objective that is the best; of equal points the first one.
    """

    def beats(one: Sequence[float], other: Sequence[float]) -> bool:
        triples = list(zip(objectives, one, other, strict=True))
        return not any(o.better(b, a) for o, a, b in triples) and any(o.better(a, b) for o, a, b in triples)

    kept: dict[tuple[float, ...], int] = {}
    for key, point in values.items():
        if not any(beats(other, point) for other in values.values()):
            kept.setdefault(tuple(point), key)
    return list(kept.values())
