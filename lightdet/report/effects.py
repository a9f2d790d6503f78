"""The effect of one choice over all settings of the other choices of a sweep.

In a sweep of three choices, on and off, each choice was tried in four settings of the two others. Their mean rests on
four times as many pairs of trainings as the comparison of two rows, which separates a small gain from noise with few
seeds (a factorial experiment: Fisher 1935, The Design of Experiments, chapter VI). No torch here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lightdet.core.score import primary_of
from lightdet.report.comparison import Comparer, Comparison, adjusted, pairs_of
from lightdet.report.difference import Gap, judged
from lightdet.report.rows import LoadedJob, Row
from lightdet.report.table import choice_names

Pairs = dict[str, tuple[LoadedJob, LoadedJob]]  # by seed: a training with the value, and one with the reference


@dataclass(frozen=True, slots=True)
class Effect:
    """One value of a choice in place of the baseline's value."""

    choice: str
    value: str
    reference: str
    row: int  # number of the first row with the value
    settings: int  # of the other choices that were trained with both
    pairs: int  # of trainings, over all settings and seeds
    comparison: Comparison
    extent: tuple[float, float]  # of the primary score: in the setting with least and with most
    pooled: bool  # some setting has one seed, so the settings replace seeds


def effects_of(rows: Sequence[Row], comparer: Comparer) -> list[Effect]:
    """Every value of every choice against the baseline's value; nothing unless one was tried in several settings."""
    found = []
    for choice in choice_names(rows):
        reference = comparer.baseline.choices.get(choice, "")
        for value in dict.fromkeys(row.choices.get(choice, "") for row in rows):
            settings = _settings(rows, choice, value, reference) if value != reference else []
            if settings:
                first = next(row for row in rows if row.choices.get(choice, "") == value)
                pairs = sum(map(len, settings))
                comparison, extent, pooled = _judged(settings, comparer, primary_of(first.scores).key)
                found.append(
                    Effect(choice, value, reference, first.number, len(settings), pairs, comparison, extent, pooled)
                )
    if not any(effect.settings > 1 for effect in found):
        return []
    compared = adjusted(dict(enumerate(effect.comparison for effect in found)))
    return [replace(effect, comparison=compared[index]) for index, effect in enumerate(found)]


def _settings(rows: Sequence[Row], choice: str, value: str, reference: str) -> list[Pairs]:
    """The settings in which both values were trained, as pairs of finished trainings. A setting in which the choice
    changes nothing, so that both rows are one training, is none."""
    sides: dict[tuple[tuple[str, str], ...], dict[str, Row]] = {}
    for row in rows:
        others = tuple(sorted((name, chosen) for name, chosen in row.choices.items() if name != choice))
        sides.setdefault(others, {})[row.choices.get(choice, "")] = row
    settings = []
    for placed in sides.values():
        if value not in placed or reference not in placed:
            continue
        both = pairs_of(placed[value], placed[reference])
        pairs = {job.seed: (job, other) for job, other in both if job.run != other.run}
        settings += [pairs] if pairs else []
    return settings


def _judged(settings: list[Pairs], comparer: Comparer, primary: str) -> tuple[Comparison, tuple[float, float], bool]:
    """Comparison, extent of the primary score and pooled of an effect; without numbers the reason, an extent of NaN."""
    gaps: list[dict[str, Gap]] = []
    for pairs in settings:
        gaps.append({})
        for seed, (job, other) in pairs.items():
            gap = comparer.gap(job, other)
            if isinstance(gap, str):
                return Comparison(gap), (math.nan, math.nan), False
            gaps[-1][seed] = gap
    together = _sharing_trainings(settings)
    groups = [_by_seed([gaps[place] for place in places]) for places in together]
    weights = [len(places) / len(settings) for places in together]
    pooled = any(len(group) < 2 for group in groups)
    if pooled:  # scaled so that each setting counts once in the mean of the groups
        means = zip(groups, weights, strict=True)
        groups, weights = [[Gap.mean(group).times(weight * len(groups)) for group, weight in means]], [1.0]
    alone = [Gap.mean(list(by_seed.values())).of(primary) for by_seed in gaps]
    seeds = tuple(dict.fromkeys(seed for pairs in settings for seed in pairs))
    runs = tuple(job.run for pairs in settings for pair in pairs.values() for job in pair)
    found = Comparison("", seeds, groups[0][0].images, judged(groups, weights), runs)
    return found, (min(alone), max(alone)), pooled and len(groups[0]) > 1


def _sharing_trainings(settings: list[Pairs]) -> list[list[int]]:
    """Places of the settings, together where they share a training: such pairs do not vary independently."""
    groups: list[tuple[set[str], list[int]]] = []
    for place, pairs in enumerate(settings):
        runs, places = {job.run for pair in pairs.values() for job in pair}, [place]
        apart = []
        for known, others in groups:
            if known & runs:
                runs, places = runs | known, others + places
            else:
                apart.append((known, others))
        groups = [*apart, (runs, places)]
    return [places for _, places in groups]


def _by_seed(gaps: list[dict[str, Gap]]) -> list[Gap]:
    """One gap a seed that all settings have, the mean over them; without such a seed, one for the mean of them all."""
    common = [seed for seed in gaps[0] if all(seed in by_seed for by_seed in gaps)]
    if not common:
        return [Gap.mean([Gap.mean(list(by_seed.values())) for by_seed in gaps])]
    return [Gap.mean([by_seed[seed] for by_seed in gaps]) for seed in common]
