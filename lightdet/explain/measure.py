"""Every number of every method on every case."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from lightdet.core.errors import LightdetError
from lightdet.core.score import Score
from lightdet.explain.cases import Case
from lightdet.explain.contract import Method
from lightdet.explain.explain import timed
from lightdet.explain.randomised import STAGES, randomised
from lightdet.explain.scores import deletion_and_insertion, energy, pointing, rank_correlation
from lightdet.model.contract import Model

NOISE = 0.02  # standard deviation of the noise of `stability`, of 0..1
CHECKED = 24  # cases on which stability and sanity are measured: they cost four maps each
SCORES = (
    Score("pointing", "pointing", "pointing", primary=True),
    Score("energy", "energy / area", "energy"),
    Score("deletion", "deletion", "deletion", higher_is_better=False),
    Score("insertion", "insertion", "insertion"),
)
CHECKS = ("stability", *(f"sanity_{stage}" for stage in STAGES))


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of one method. NaN: not measured on this case, or the case has no box."""

    values: Mapping[str, np.ndarray]  # key of SCORES or CHECKS -> (cases,) float64
    milliseconds: float  # median of a map


def usable(methods: Mapping[str, Method], model: Model, case: Case) -> tuple[dict[str, Method], dict[str, str]]:
    """The methods that can explain a case, and the reasons of the others by their name."""
    able: dict[str, Method] = {}
    reasons: dict[str, str] = {}
    for name, method in methods.items():
        try:
            timed(method, model, case.images, case.subject, name)
            able[name] = method
        except LightdetError as error:
            reasons[name] = str(error)
    return able, reasons


def measure(
    model: Model,
    methods: Mapping[str, Method],
    cases: Sequence[Case],
    checked: int = CHECKED,
    watched: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, Measured]:
    """The numbers of each method. `checked`: cases for stability and sanity, evenly over all; 0 leaves them out.
    `watched` shows progress over the numbers of the cases."""
    keys = (*(score.key for score in SCORES), *CHECKS)
    values = {name: {key: np.full(len(cases), np.nan) for key in keys} for name in methods}
    times: dict[str, list[float]] = {name: [] for name in methods}
    chosen = set(np.linspace(0, len(cases) - 1, min(checked, len(cases))).round().astype(int).tolist())
    lost = {stage: randomised(model, stage) for stage in STAGES} if chosen else {}
    for index in watched(range(len(cases))):
        case = cases[index]
        for name, method in methods.items():
            heat, seconds = timed(method, model, case.images, case.subject, name)
            times[name].append(seconds * 1000)
            found = _scores(model, case, heat[case.region], index)
            if index in chosen:
                found |= _checks(model, lost, method, name, case, heat, index)
            for key, value in found.items():
                values[name][key][index] = value
    return {name: Measured(values[name], median(times[name])) for name in methods}


def _scores(model: Model, case: Case, heat: np.ndarray, index: int) -> dict[str, float]:
    deletion, insertion = deletion_and_insertion(model, case.images, case.region, case.subject, heat, index)
    found = {"deletion": deletion, "insertion": insertion}
    if len(case.boxes_xyxy):
        found |= {"pointing": pointing(heat, case.boxes_xyxy), "energy": energy(heat, case.boxes_xyxy)}
    return found


def _checks(
    model: Model, lost: Mapping[str, Model], method: Method, name: str, case: Case, heat: np.ndarray, index: int
) -> dict[str, float]:
    """Rank correlations of the map with that of a slightly noisy image, and with those of models without weights."""
    random = torch.Generator().manual_seed(index)
    noise = NOISE * torch.randn(case.images.shape, generator=random).to(case.images.device)
    noisy = (case.images + noise).clamp(0, 1)
    again, _ = timed(method, model, noisy, case.subject, name)
    found = {"stability": rank_correlation(heat[case.region], again[case.region])}
    for stage, other in lost.items():
        without, _ = timed(method, other, case.images, case.subject, name)
        found[f"sanity_{stage}"] = rank_correlation(heat[case.region], without[case.region])
    return found
